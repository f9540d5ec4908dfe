const http = require("http");
const os = require("os");

// The address that other machines know this one by.
const host = process.env.HOSTNAME || os.hostname();
http.createServer((_, res) => res.end("ready")).listen(8080, host, () => console.log(`ready on http://${host}:8080`));
