use strict;
use warnings;
use HTTP::Daemon;
use HTTP::Response;

$| = 1;
my $daemon = HTTP::Daemon->new(LocalAddr => '0.0.0.0', LocalPort => $ENV{PORT} // 8080, ReuseAddr => 1)
    or die "cannot listen: $@";
print "listening at ", $daemon->url, "\n";
while (my $client = $daemon->accept) {
    while (my $request = $client->get_request) {
        $client->send_response(HTTP::Response->new(200, 'OK', ['Content-Type' => 'text/plain'], "ok\n"));
    }
    $client->close;
}
