// As Next.js binds, with the address that the platform gives as HOSTNAME.
const http = require("http");

const hostname = process.env.HOSTNAME || "0.0.0.0";
const server = http.createServer((_, res) => res.end("ok"));

server.on("error", (error) => {
  console.error("Failed to start server");
  console.error(error);
  process.exit(1);
});
server.listen(3000, hostname, () => console.log("Ready"));
