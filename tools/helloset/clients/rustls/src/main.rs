//! Starts a TLS handshake with 127.0.0.1:PORT and the server name given, so
//! that the other end can record the ClientHello: `hello PORT NAME [ALPN…]`.

use std::{env, net::TcpStream, sync::Arc};

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = args[2..].iter().map(|s| s.clone().into_bytes()).collect();
    let name = args[1].clone().try_into().expect("a server name");
    let mut conn = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut sock = TcpStream::connect(format!("127.0.0.1:{}", args[0])).expect("a connection");
    let _ = conn.complete_io(&mut sock); // the recorder closes: an error is expected
}
