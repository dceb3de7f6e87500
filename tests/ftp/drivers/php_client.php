<?php
// What a check tells PHP's ftp functions to do: HOST PORT USER PASSWORD MODE VERB ARGUMENT...
[, $host, $port, $user, $password, $mode, $verb] = $argv;
$arguments = array_slice($argv, 7);

function is_done($result) {
    if ($result === false) {
        exit(1);
    }
    return $result;
}

function put_from($ftp, $offset, $local, $remote) {
    $file = fopen($local, 'rb');
    fseek($file, (int)$offset);
    return ftp_fput($ftp, $remote, $file, FTP_BINARY, (int)$offset);
}

$verbs = [
    'login' => fn($ftp) => print(ftp_pwd($ftp) . "\n"),
    'cd' => fn($ftp, $folder) => is_done(ftp_chdir($ftp, $folder)) && print(ftp_pwd($ftp) . "\n"),
    'list' => fn($ftp, $folder) => print(implode("\n", is_done(ftp_rawlist($ftp, $folder))) . "\n"),
    'mlsd' => fn($ftp, $folder) => array_map(
        fn($entry) => print($entry['name'] . ' ' . ($entry['size'] ?? '-') . "\n"),
        is_done(ftp_mlsd($ftp, $folder))
    ),
    'get' => fn($ftp, $remote, $local) => ftp_get($ftp, $local, $remote, FTP_BINARY),
    'put' => fn($ftp, $local, $remote) => ftp_put($ftp, $remote, $local, FTP_BINARY),
    'get-from' => fn($ftp, $offset, $remote, $local) => ftp_get($ftp, $local, $remote, FTP_BINARY, (int)$offset),
    'put-from' => 'put_from',
    'append' => fn($ftp, $local, $remote) => ftp_append($ftp, $remote, $local, FTP_BINARY),
    'rename' => fn($ftp, $one, $other) => ftp_rename($ftp, $one, $other),
    'delete' => fn($ftp, $path) => ftp_delete($ftp, $path),
    'mkdir' => fn($ftp, $path) => ftp_mkdir($ftp, $path),
    'rmdir' => fn($ftp, $path) => ftp_rmdir($ftp, $path),
];

$ftp = is_done(ftp_connect($host, (int)$port, 30));
is_done(ftp_login($ftp, $user, $password));
is_done(ftp_pasv($ftp, $mode == 'passive'));
is_done($verbs[$verb]($ftp, ...$arguments));
ftp_close($ftp);
