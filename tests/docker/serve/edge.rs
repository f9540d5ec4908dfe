//! Large and slow requests to a service, and clients that leave, on the real engine.

use exitone::engine::archive::NewImage;
use exitone::engine::{Engine, IMAGE_LABEL, ROLE_LABEL};

use super::super::support::{layer, left_by, load};
use super::*;

const READS: &str = "exitone-test/reads:latest";
const UPLOAD: usize = 100 << 20;

/// An image of a server that reads what it is sent.
async fn load_reads(engine: &dyn Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("reads");
    let source = root().join("tests/fixtures/serve/reads.c");
    let status = Command::new("cc").args(["-static", "-O1", "-pthread", "-o"]).arg(&program).arg(source).status();
    assert!(status.expect("a C compiler").success());
    let image = NewImage {
        tag: READS.to_owned(),
        architecture: "amd64".to_owned(),
        cmd: vec!["/reads".to_owned()],
        labels: [(IMAGE_LABEL.to_owned(), "test".to_owned())].into(),
        layers: vec![layer(&[("reads", 0o755, &std::fs::read(&program).expect("compiled"))])],
        ..NewImage::default()
    };
    load(engine, &[image]).await;
}

/// Connects and sends the head of a request.
fn begin(server: &Server, host: &str, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("connected");
    write!(stream, "{head} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n").expect("sent");
    stream
}

/// Sends a body of this length, of which only `sent` bytes come.
fn upload(stream: &mut TcpStream, length: usize, sent: usize) {
    write!(stream, "content-length: {length}\r\n\r\n").expect("sent");
    let piece = [b'x'; 64 << 10];
    for _ in 0..sent / piece.len() {
        stream.write_all(&piece).expect("sent");
    }
}

#[tokio::test]
async fn large_upload_and_streamed_answer_and_clients_that_leave() {
    let Some((engine, _one)) = engine().await else { return };
    images().await;
    load_reads(engine.as_ref()).await;
    let server = Server::start();
    let source = json!({ "ImageRepository": { "ImageIdentifier": READS, "ImageRepositoryType": "ECR" } });
    let created = server.call("CreateService", &json!({ "ServiceName": "reads", "SourceConfiguration": source }));
    let arn = created["Service"]["ServiceArn"].as_str().expect("an ARN").to_owned();
    let host = created["Service"]["ServiceUrl"].as_str().expect("an address").to_owned();
    assert_eq!(settled(&server, &arn).await, "RUNNING");
    let before = peak_mb(server.child.id());
    let begun = Instant::now();
    let mut stream = begin(&server, &host, "POST /upload");
    upload(&mut stream, UPLOAD, UPLOAD);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with(&format!("\r\n\r\n{UPLOAD}")), "{answer}");
    let grown = peak_mb(server.child.id()) - before;
    eprintln!("100 MB in {:.1} s, {grown:.0} MB more memory", begun.elapsed().as_secs_f64());
    assert!(grown < 32.0, "{grown} MB of an upload are kept");
    // Ten lines in two seconds: each is passed on when it is written.
    let mut stream = begin(&server, &host, "GET /stream");
    write!(stream, "\r\n").expect("sent");
    let begun = Instant::now();
    let lines: Vec<(f64, String)> = BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .filter(|line| line.starts_with("line"))
        .map(|line| (begun.elapsed().as_secs_f64(), line))
        .collect();
    assert_eq!(lines.len(), 10, "{lines:?}");
    assert!(lines[9].0 - lines[0].0 > 1.0, "they come one by one: {lines:?}");
    // Clients that leave in the middle, while a deployment is under way, and before one that waits for what is left of them.
    for _ in 0..20 {
        let mut stream = begin(&server, &host, "POST /upload");
        upload(&mut stream, UPLOAD, 1 << 20);
        let mut stream = begin(&server, &host, "GET /stream");
        write!(stream, "\r\n").expect("sent");
    }
    server.call("StartDeployment", &json!({ "ServiceArn": arn }));
    let mut stream = begin(&server, "127.0.0.1", "POST /");
    write!(stream, "x-amz-target: AppRunner.StartDeployment\r\ncontent-length: 100\r\n\r\n{{").expect("sent");
    drop(stream);
    assert_eq!(settled(&server, &arn).await, "RUNNING");
    let all = server.call("ListOperations", &json!({ "ServiceArn": arn }));
    assert_eq!(all["OperationSummaryList"][0]["Status"], "SUCCEEDED");
    // The instance before has nothing left to answer, and is stopped: one of this service stays, and one of the seed's.
    let begun = Instant::now();
    loop {
        let left = left_by(engine.as_ref(), Path::new(STATE_HOME)).await;
        let candidates =
            left.iter().filter(|found| found.labels.get(ROLE_LABEL).is_some_and(|role| role == "candidate"));
        if candidates.count() == 2 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{left:#?}");
        sleep(Duration::from_millis(100)).await;
    }
}
