//! Connections of the TLS port: admitted, then a handshake in their own task, then served as any.
//!
//! They count for `maxclients`, and CLIENT LIST shows them, from the moment that they are accepted.
//! One that is turned away before its handshake is just closed, as it could not read why; protected
//! mode tells after it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use engine::header::ClientToken;
use monoio::net::TcpStream;
use rustls::ServerConfig;
use tracing::warn;

use super::{PROTECTED, open, peer, spawn};
use crate::client::Closing;
use crate::client::close_reason::CloseReason;
use crate::connection::{Served, log_close, serve};
use crate::shard::Shard;
use crate::tls::handshake::{self, Encrypted, Failed};

/// Begins the task of a connection, unless it may not come in.
pub(super) fn admit(shard: &Rc<RefCell<Shard>>, stream: TcpStream, address: SocketAddr) {
    // There are some as long as there is a port.
    let Some(settings) = shard.borrow().tls.settings() else {
        return;
    };
    let Some(client) = open(shard, peer(shard, &stream, address)) else {
        return;
    };
    let (id, token) = (client.borrow().session.id, client.borrow().token);
    let slowest = shard.borrow_mut().tls.begin(id, token);
    shard.borrow().give_handshake_up(slowest);
    let shard = shard.clone();
    spawn(&client.clone(), async move {
        let served = Served { shard, client };
        // In a box, so that the task is no larger than its connection for the rest of its life.
        let result = Box::pin(shake_hands(&served, settings, stream)).await;
        served.shard.borrow_mut().tls.end(id);
        match result {
            Ok(encrypted) => {
                served.refuse_if_protected(address);
                let farewell = encrypted.farewell.send();
                serve(served, encrypted.reader, encrypted.writer, farewell).await;
            }
            Err(failed) => {
                served.note_failed(failed);
                served.leave();
            }
        }
    });
}

/// Does the handshake, unless it takes too long or the client is to be closed.
async fn shake_hands(
    served: &Served,
    settings: Arc<ServerConfig>,
    stream: TcpStream,
) -> Result<Encrypted<TcpStream>, Failed> {
    let mut handshake = pin!(handshake::accept(settings, stream));
    let mut too_late = pin!(monoio::time::sleep(handshake::TIME_MAX));
    poll_fn(|cx| {
        {
            let mut client = served.client.borrow_mut();
            client.park(cx.waker());
            if client.closing.is_some() {
                let closed = io::Error::from(ErrorKind::ConnectionAborted);
                return Poll::Ready(Err(Failed::Because(closed)));
            }
        }
        if let Poll::Ready(result) = handshake.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        let too_late = too_late.as_mut().poll(cx);
        too_late.map(|()| Err(Failed::Because(ErrorKind::TimedOut.into())))
    })
    .await
}

impl Served {
    fn refuse_if_protected(&self, address: SocketAddr) {
        let mut shard = self.shard.borrow_mut();
        if !shard.is_protected_from(address) {
            return;
        }
        shard.note_turned_away("protected-mode", &address.to_string());
        let mut client = self.client.borrow_mut();
        client.out.extend_from_slice(PROTECTED);
        client.close(Closing::AfterReplies);
    }

    fn note_failed(&self, failed: Failed) {
        let client = self.client.borrow();
        let error = match failed {
            Failed::NothingCame => return log_close(&client, Ok(())),
            Failed::Because(error) => error,
        };
        if client
            .close_reason
            .is_none_or(|it| it == CloseReason::TooManyHandshakes)
        {
            self.shard
                .borrow_mut()
                .note_failed_handshake(&client.peer.address, &error);
        }
        log_close(&client, Err(error));
    }
}

impl Shard {
    /// Closes a client whose handshake is the one that others need the place of.
    fn give_handshake_up(&self, slowest: Option<ClientToken>) {
        if let Some(client) = slowest.and_then(|token| self.client(token)) {
            let mut client = client.borrow_mut();
            client.close_for(CloseReason::TooManyHandshakes, Closing::Now);
        }
    }

    fn note_failed_handshake(&mut self, address: &str, error: &io::Error) {
        self.engine.stats.failed_handshakes += 1;
        if let Some(left_out) = self.measured.log_limits.handshakes.admit(self.second()) {
            // Redis's words.
            warn!(
                address,
                left_out, "Error accepting a client connection: {error}"
            );
        }
    }
}
