// As Next.js's standalone server.js begins.
const http = require("http");

const currentPort = parseInt(process.env.PORT, 10) || 3000;
const hostname = process.env.HOSTNAME || "0.0.0.0";
const server = http.createServer((_, res) => res.end("<!DOCTYPE html>"));

server.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
server.listen(currentPort, hostname, () => console.log(`- Local: http://${hostname}:${currentPort}`));
