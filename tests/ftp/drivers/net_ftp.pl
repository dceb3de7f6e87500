# What a check tells Perl's Net::FTP to do: HOST PORT USER PASSWORD MODE VERB ARGUMENT...
use strict;
use warnings;
use Net::FTP;

my ($host, $port, $user, $password, $mode, $verb, @arguments) = @ARGV;
my $ftp = Net::FTP->new($host, Port => $port, Passive => $mode eq "passive", Timeout => 30) or die "cannot connect: $@";
my $is_done = sub { $_[0] or die $ftp->code . " " . $ftp->message };

sub from {
    my ($offset, $remote, $local) = @_;
    $is_done->($ftp->get($remote, $local, $offset));
}

sub abort {
    my ($big, $small, $local) = @_;
    my $data = $ftp->retr($big) or die $ftp->message;
    $data->read(my $block, 1000);
    $data->abort;
    $is_done->($ftp->get($small, $local));
}

my %verbs = (
    login => sub { print $ftp->pwd, "\n" },
    cd => sub { $is_done->($ftp->cwd($_[0])); print $ftp->pwd, "\n" },
    list => sub { print "$_\n" for $ftp->dir($_[0]) },
    get => sub { $is_done->($ftp->get($_[0], $_[1])) },
    put => sub { $is_done->($ftp->put($_[0], $_[1])) },
    "get-from" => \&from,
    append => sub { $is_done->($ftp->append($_[0], $_[1])) },
    rename => sub { $is_done->($ftp->rename($_[0], $_[1])) },
    delete => sub { $is_done->($ftp->delete($_[0])) },
    mkdir => sub { $is_done->($ftp->mkdir($_[0])) },
    rmdir => sub { $is_done->($ftp->rmdir($_[0])) },
    abort => \&abort,
);

$is_done->($ftp->login($user, $password));
$is_done->($ftp->binary || 1);
$verbs{$verb}->(@arguments);
$ftp->quit;
