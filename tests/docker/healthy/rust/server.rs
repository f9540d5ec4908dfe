use std::io::{Read, Write};
use std::net::TcpListener;

fn main() {
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let listener = TcpListener::bind(("0.0.0.0", port)).expect("a port");
    println!("listening on {port}");
    for client in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let (mut client, mut request) = (client, [0; 4096]);
            if client.read(&mut request).is_ok_and(|n| n > 0) {
                let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n");
            }
        });
    }
}
