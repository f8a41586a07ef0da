//! What shards say to one another.

use engine::batch::Batch;
use engine::header::ReplyTo;

use crate::pubsub::publish::Delivery;
use crate::shard::Shard;

/// One message; each is a pointer or two, so a ring of them is small.
pub enum Message {
    /// Commands for their owner.
    Requests(Box<Batch>),
    /// A batch on its way back, run.
    Replies(Box<Batch>),
    /// The reply of one command that its batch could not wait for.
    DeferredReply(Box<DeferredReply>),
    /// What engines say to one another.
    Engine(engine::message::Message),
    /// What one turn has published for the shard's subscribers.
    #[allow(clippy::box_collection)]
    PublishBatch(Box<Vec<Delivery>>),
    /// Work for one shard that is none of the above: what operators ask for.
    Visit(Visit),
}

const _: () = assert!(size_of::<Message>() <= 24);

/// Something to do on a shard.
pub type Visit = Box<dyn FnOnce(&mut Shard) + Send>;

/// A reply that comes alone.
pub struct DeferredReply {
    pub to: ReplyTo,
    pub reply: Vec<u8>,
    /// The client's further commands are held back: see [`engine::backpressure`].
    pub holds_back: bool,
}
