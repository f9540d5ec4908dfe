const http = require("http");

const PORT = 4001;
http.createServer((_, res) => res.end("ok")).listen(PORT, () => console.log(`listening on ${PORT}`));
