# What a check tells Ruby's Net::FTP to do: HOST PORT USER PASSWORD MODE VERB ARGUMENT...
require "net/ftp"

host, port, user, password, mode, verb, *arguments = ARGV

ABORT = lambda do |ftp, big, small, local|
  ftp.voidcmd("TYPE I")
  data = ftp.send(:transfercmd, "RETR " + big)
  data.read(1000)
  puts ftp.abort
  data.close
  # Behind the 426 that abort took for its answer there is the answer to ABOR.
  puts ftp.send(:getmultiline)
  ftp.getbinaryfile(small, local)
end

VERBS = {
  "login" => ->(ftp) { puts ftp.pwd },
  "cd" => ->(ftp, folder) { ftp.chdir(folder); puts ftp.pwd },
  "list" => ->(ftp, folder) { puts ftp.list(folder) },
  "mlsd" => ->(ftp, folder) { ftp.mlsd(folder) { |entry| puts "#{entry.pathname} #{entry.facts["size"]}" } },
  "get" => ->(ftp, remote, local) { ftp.getbinaryfile(remote, local) },
  "put" => ->(ftp, local, remote) { ftp.putbinaryfile(local, remote) },
  "get-from" => lambda do |ftp, offset, remote, local|
    ftp.resume = true
    File.open(local, "ab") { |file| ftp.retrbinary("RETR " + remote, 65536, offset.to_i) { |block| file.write(block) } }
  end,
  "append" => ->(ftp, local, remote) { File.open(local, "rb") { |file| ftp.storbinary("APPE " + remote, file, 65536) } },
  "rename" => ->(ftp, one, other) { ftp.rename(one, other) },
  "delete" => ->(ftp, path) { ftp.delete(path) },
  "mkdir" => ->(ftp, path) { ftp.mkdir(path) },
  "rmdir" => ->(ftp, path) { ftp.rmdir(path) },
  "abort" => ABORT,
}

ftp = Net::FTP.new
ftp.open_timeout = ftp.read_timeout = 30
ftp.connect(host, port.to_i)
ftp.login(user, password)
ftp.passive = mode == "passive"
VERBS.fetch(verb).call(ftp, *arguments)
ftp.close
