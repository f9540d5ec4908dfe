const http = require("http");

<<<<<<< HEAD
const limit = Number(process.env.PAGE_SIZE || 50);
=======
const limit = Number(process.env.PAGE_LIMIT || 25);
>>>>>>> feature/paging

http
  .createServer((req, res) => {
    res.statusCode = req.url === "/healthz" ? 200 : 404;
    res.end();
  })
  .listen(process.env.PORT || 8080, "0.0.0.0", () => console.log(`pages of ${limit}`));
