// What a check tells commons-net to do: HOST PORT USER PASSWORD MODE VERB ARGUMENT...
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Arrays;
import org.apache.commons.net.ftp.FTP;
import org.apache.commons.net.ftp.FTPClient;
import org.apache.commons.net.ftp.FTPFile;

public class CommonsNet {
    private static final FTPClient ftp = new FTPClient();

    public static void main(String[] all) throws IOException {
        ftp.setControlEncoding("UTF-8");
        ftp.setDefaultTimeout(30000);
        ftp.setDataTimeout(30000);
        ftp.setConnectTimeout(30000);
        ftp.connect(all[0], Integer.parseInt(all[1]));
        isDone(ftp.login(all[2], all[3]));
        if (all[4].equals("passive")) {
            ftp.enterLocalPassiveMode();
        }
        isDone(ftp.setFileType(FTP.BINARY_FILE_TYPE));
        perform(all[5], Arrays.copyOfRange(all, 6, all.length));
        ftp.logout();
        ftp.disconnect();
    }

    private static void perform(String verb, String[] told) throws IOException {
        switch (verb) {
            case "login": System.out.println(ftp.printWorkingDirectory()); break;
            case "cd":
                isDone(ftp.changeWorkingDirectory(told[0]));
                System.out.println(ftp.printWorkingDirectory());
                break;
            case "list": show(ftp.listFiles(told[0])); break;
            case "mlsd": show(ftp.mlistDir(told[0])); break;
            case "get": get(told[0], told[1], 0); break;
            case "put": put(told[0], told[1], 0); break;
            case "get-from": get(told[1], told[2], Long.parseLong(told[0])); break;
            case "put-from": put(told[1], told[2], Long.parseLong(told[0])); break;
            case "append":
                try (InputStream file = new FileInputStream(told[0])) {
                    isDone(ftp.appendFile(told[1], file));
                }
                break;
            case "rename": isDone(ftp.rename(told[0], told[1])); break;
            case "delete": isDone(ftp.deleteFile(told[0])); break;
            case "mkdir": isDone(ftp.makeDirectory(told[0])); break;
            case "rmdir": isDone(ftp.removeDirectory(told[0])); break;
            case "mtime": isDone(ftp.setModificationTime(told[0], told[1])); break;
            case "abort": abort(told[0], told[1], told[2]); break;
            default: throw new IOException("no such verb: " + verb);
        }
    }

    private static void get(String remote, String local, long offset) throws IOException {
        ftp.setRestartOffset(offset);
        try (OutputStream file = new FileOutputStream(local, offset > 0)) {
            isDone(ftp.retrieveFile(remote, file));
        }
    }

    private static void put(String local, String remote, long offset) throws IOException {
        ftp.setRestartOffset(offset);
        try (InputStream file = new FileInputStream(local)) {
            file.skipNBytes(offset);
            isDone(ftp.storeFile(remote, file));
        }
    }

    private static void abort(String big, String small, String local) throws IOException {
        InputStream data = ftp.retrieveFileStream(big);
        data.read(new byte[1000]);
        ftp.abort();
        data.close();
        // Behind the answer to ABOR's urgent half there is another one.
        System.out.println(ftp.getReplyString());
        ftp.completePendingCommand();
        System.out.println(ftp.getReplyString());
        get(small, local, 0);
    }

    private static void show(FTPFile[] files) {
        for (FTPFile file : files) {
            System.out.println(file.getName() + " " + file.getSize());
        }
    }

    private static void isDone(boolean result) throws IOException {
        if (!result) {
            throw new IOException(ftp.getReplyString());
        }
    }
}
