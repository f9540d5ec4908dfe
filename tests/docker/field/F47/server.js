const http = require("http");
const net = require("net");

function connect(host, port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, host, () => resolve(socket));
    socket.on("error", reject);
  });
}

connect("mydb.cluster-abc.eu-west-1.rds.amazonaws.com", 3306)
  .then(() => http.createServer((_, res) => res.end("ok")).listen(Number(process.env.PORT), "0.0.0.0"))
  .catch((error) => {
    console.error("Unable to connect to the database:", error);
    process.exit(1);
  });
