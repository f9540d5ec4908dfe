// The dictionary is held in memory: about 100 MB.
const http = require("http");

console.log(`search: loading the dictionary (${process.env.NODE_ENV})`);
const words = new Map();
for (let i = 0; i < 800000; i++) words.set(`word-${i}`, { id: i, rank: i % 97 });
console.log(`search: ${words.size} words`);

http
  .createServer((req, res) => {
    res.statusCode = req.url === "/healthz" ? 200 : 404;
    res.end();
  })
  .listen(process.env.PORT || 8080, "0.0.0.0", () => console.log("search: ready"));
