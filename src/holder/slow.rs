//! Latency without a traffic shaper: many kernels (desktop machines among them) have no `sch_netem`.
//!
//! What the internet sends to the candidate is routed into a namespace where nobody takes it; a tap there reads it,
//! it waits, and a raw socket of the internet sends it on with a mark that the rules let pass.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::Socket;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::packets::{Tap, finish};

/// Holds every packet of the tap back for so long, in order.
pub(crate) async fn hold_back(tap: Tap, onward: Socket, delay: Duration) {
    let (sender, mut waiting) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = tap.read_whole(|packet| {
        // The receiver lives as long as this function.
        let _ = sender.send((Instant::now() + delay, packet.to_vec()));
    });
    let send = async {
        while let Some((due, mut packet)) = waiting.recv().await {
            tokio::time::sleep_until(due).await;
            if let Some(to) = finish(&mut packet) {
                // What cannot be sent now is lost, as it may be on any way.
                let _ = onward.send_to(&packet, &SocketAddr::from((to, 0)).into());
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = send => {}
    }
}
