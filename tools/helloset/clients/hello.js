// Starts a TLS handshake with 127.0.0.1:PORT: hello.js PORT NAME [ALPN...]
const tls = require('node:tls');

const [port, servername, ...ALPNProtocols] = process.argv.slice(2);
const options = { host: '127.0.0.1', port: Number(port), servername };
if (ALPNProtocols.length > 0) options.ALPNProtocols = ALPNProtocols;
tls.connect(options).on('error', () => {}); // the recorder closes
