require "webrick"

$stdout.sync = true
server = WEBrick::HTTPServer.new(
  BindAddress: "0.0.0.0",
  Port: Integer(ENV.fetch("PORT", "8080")),
  DoNotReverseLookup: true,
)
server.mount_proc("/") { |_request, response| response.body = "ok\n" }
trap("TERM") { server.shutdown }
server.start
