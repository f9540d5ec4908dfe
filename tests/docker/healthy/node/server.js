const http = require("http");

const port = Number(process.env.PORT || 8080);
const server = http.createServer((request, response) => {
  response.writeHead(request.url === "/healthz" ? 200 : 404, { "Content-Type": "text/plain" });
  response.end("ok\n");
});
server.listen(port, () => console.log(`listening on ${port}`));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
