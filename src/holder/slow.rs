//! Latency without traffic shaping: many kernels (including desktop virtual machines) lack `sch_netem`.
//!
//! Traffic from the internet to the candidate is routed into a namespace where nobody receives it; a tap there reads
//! it, and after the delay a raw socket of the internet sends it on with a mark that the rules let pass.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::Socket;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::packets::{Tap, finish};

/// Delays every packet of the tap, in order.
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
                // What cannot be sent now is lost, as on any route.
                let _ = onward.send_to(&packet, &SocketAddr::from((to, 0)).into());
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = send => {}
    }
}
