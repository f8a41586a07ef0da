//! What the channels promise: order, and that nobody sleeps on a message.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::executor::{Driver, block_on, thread_group};
use crate::mailbox::inbox::Incoming;

/// How long all of a test's threads may take before a wake-up counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(120);

/// epoll, and the best ring that there is.
fn drivers() -> Vec<Driver> {
    let best = Driver::probe(config::IoDriver::Auto, true).expect("there is epoll");
    let mut drivers = vec![Driver::Epoll];
    if best.is_uring() {
        drivers.push(best);
    }
    drivers
}

/// Runs `main` on an executor with epoll, with the ends of `shards` shards.
fn with_ends<F: Future>(shards: usize, main: impl FnOnce(Vec<Open>) -> F) -> F::Output {
    let ends = mesh::<u32>(shards, false).expect("eventfds");
    let opened = async {
        let open = |ends: Ends<u32>| ends.open(false).expect("an inbox");
        main(ends.into_iter().map(open).collect()).await
    };
    block_on(Driver::Epoll, opened).expect("an executor")
}

type Open = (Inbox<u32>, Outlets<u32>);

/// Sends one message, or gives it back where the ring is full.
fn try_push(outlets: &mut Outlets<u32>, to: usize, message: u32) -> Result<(), u32> {
    let mut messages = VecDeque::from([message]);
    outlets.push(ShardId::new(to), &mut messages);
    messages.pop_front().map_or(Ok(()), Err)
}

fn polled_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

async fn received(inbox: &mut Inbox<u32>) -> Vec<(usize, u32)> {
    let messages = inbox.recv().await.expect("a bell");
    messages
        .map(|(from, message)| (from.index(), message))
        .collect()
}

#[test]
fn messages_keep_their_order_and_full_rings_refuse() {
    with_ends(3, async |mut ends| {
        let (mut inbox, _) = ends.remove(2);
        for i in 0..RING_MESSAGES_MAX as u32 {
            try_push(&mut ends[0].1, 2, i).unwrap();
        }
        assert_eq!(try_push(&mut ends[0].1, 2, 99), Err(99));
        try_push(&mut ends[1].1, 2, 1000).unwrap();
        assert_eq!(inbox.incoming().waiting(), RING_MESSAGES_MAX + 1);
        let all = received(&mut inbox).await;
        assert_eq!(all[1], (1, 1000), "senders take turns");
        let of_first = all.iter().filter(|(from, _)| *from == 0);
        assert!(of_first.map(|(_, i)| *i).eq(0..RING_MESSAGES_MAX as u32));
    });
}

#[test]
fn only_a_shard_that_sleeps_is_rung_and_once() {
    with_ends(2, async |mut ends| {
        let (mut inbox, _) = ends.remove(1);
        let (_, outlets) = &mut ends[0];
        let receiver = ShardId::new(1);
        assert!(!outlets.ring(receiver), "it has never waited");
        assert!(polled_once(inbox.recv()).is_pending());
        try_push(outlets, 1, 7).unwrap();
        // It has joined this thread, so no system call is needed; but its promise is.
        outlets.ring(receiver);
        assert!(!outlets.bells[1].ring(receiver), "it has been rung");
        assert_eq!(received(&mut inbox).await, [(0, 7)]);
        assert!(polled_once(inbox.recv()).is_pending());
        inbox.incoming().promise_look();
        try_push(outlets, 1, 8).unwrap();
        outlets.ring(receiver);
        assert_eq!(received(&mut inbox).await, [(0, 8)], "it keeps its promise");
    });
}

#[test]
fn who_waits_for_room_is_rung_though_it_does_not_sleep_yet() {
    with_ends(2, async |mut ends| {
        let (mut receiver, _) = ends.remove(1);
        let (mut sender, mut outlets) = ends.remove(0);
        while try_push(&mut outlets, 1, 0).is_ok() {}
        outlets.announce_lack_of_room();
        // Here it tries once more, and only now there is room.
        assert_eq!(received(&mut receiver).await.len(), RING_MESSAGES_MAX);
        let messages = sender.recv().await.unwrap();
        assert!(messages.bell_rang);
        assert_eq!(messages.count(), 0);
    });
}

#[test]
fn who_stays_awake_comes_behind_those_that_are_ready() {
    with_ends(2, async |mut ends| {
        let (mut inbox, _) = ends.remove(1);
        let (_, mut outlets) = ends.remove(0);
        // The echo is there from now on.
        monoio::time::sleep(Duration::from_millis(1)).await;
        try_push(&mut outlets, 1, 7).unwrap();
        let ready = Rc::new(Cell::new(false));
        drop(thread_group::spawn({
            let ready = ready.clone();
            async move {
                assert!(
                    !outlets.ring(ShardId::new(1)),
                    "it has said that it will look"
                );
                ready.set(true);
            }
        }));
        assert_eq!(received(&mut inbox).await, [(0, 7)]);
        assert!(!ready.get(), "messages are there, so it does not wait");
        inbox.stay_awake();
        assert_eq!(received(&mut inbox).await, []);
        assert!(ready.get());
    });
}

#[test]
fn a_task_of_the_same_shard_calls_the_receiver() {
    with_ends(2, async |mut ends| {
        let (mut inbox, _) = ends.remove(1);
        let incoming = inbox.incoming();
        incoming.call_receiver();
        assert!(!inbox.recv().await.unwrap().bell_rang, "before it waits");
        let calls = Rc::clone(&incoming);
        drop(thread_group::spawn(async move { calls.call_receiver() }));
        assert!(!inbox.recv().await.unwrap().bell_rang, "while it waits");
        incoming.call_receiver_behind_input();
        assert!(inbox.recv().await.unwrap().bell_rang);
        assert!(polled_once(inbox.recv()).is_pending(), "and then it waits");
    });
}

#[test]
fn nothing_is_lost_where_receiving_is_given_up() {
    with_ends(2, async |mut ends| {
        let (mut inbox, _) = ends.remove(1);
        let (_, outlets) = &mut ends[0];
        for message in 0..100 {
            assert!(polled_once(inbox.recv()).is_pending());
            if message % 2 == 0 {
                inbox.incoming().call_receiver_behind_input();
                monoio::time::sleep(Duration::from_micros(1)).await;
            }
            try_push(outlets, 1, message).unwrap();
            outlets.ring(ShardId::new(1));
            assert_eq!(received(&mut inbox).await, [(0, message)]);
        }
    });
}

/// Runs a task for each shard, with its ends, on one thread for each group of shards.
fn on_threads<F: Future<Output = ()> + 'static>(
    driver: Driver,
    groups: &[usize],
    task: impl Fn(usize, Open) -> F + Copy + Send + 'static,
) {
    let ends = mesh::<u32>(groups.iter().sum(), driver.is_uring()).expect("eventfds");
    let mut ends = ends.into_iter().enumerate();
    let (done, ended) = channel();
    let threads: Vec<_> = groups
        .iter()
        .map(|&count| {
            let group: Vec<_> = ends.by_ref().take(count).collect();
            let done = done.clone();
            thread::spawn(move || {
                let all = async {
                    let tasks = group.into_iter().map(|(index, ends)| {
                        let open = ends.open(driver.is_uring()).expect("an inbox");
                        thread_group::spawn(task(index, open))
                    });
                    for task in tasks.collect::<Vec<_>>() {
                        task.await;
                    }
                };
                block_on(driver, all).expect("an executor");
                done.send(()).expect("the test waits");
            })
        })
        .collect();
    drop(done);
    for _ in groups {
        let ended = ended.recv_timeout(LOST_AFTER);
        ended.expect("no thread failed, and no wake-up was lost");
    }
    for thread in threads {
        thread.join().expect("it has ended");
    }
}

/// A message goes to and fro between two shards, each of which sleeps until it comes: one wake-up
/// that is lost ends it.
async fn to_and_fro(index: usize, (mut inbox, mut outlets): Open) {
    const ROUNDS: u32 = 20_000;
    let other = ShardId::new(1 - index);
    for round in 0..ROUNDS {
        for side in 0..2 {
            if side == index {
                try_push(&mut outlets, other.index(), round).expect("its ring is empty");
                outlets.ring(other);
                continue;
            }
            let mut messages = received(&mut inbox).await;
            while messages.is_empty() {
                messages = received(&mut inbox).await;
            }
            assert_eq!(messages, [(other.index(), round)]);
        }
    }
}

#[test]
fn no_wake_up_is_lost_between_two_threads() {
    for driver in drivers() {
        on_threads(driver, &[1, 1], to_and_fro);
    }
}

#[test]
fn no_wake_up_is_lost_within_a_thread() {
    for driver in drivers() {
        on_threads(driver, &[2], to_and_fro);
    }
}

/// Where two threads meet, and go on at nearly the same time.
#[derive(Default)]
struct Meeting(AtomicU32);

impl Meeting {
    /// Waits until both have come `times` times, and then for up to some 100 ns.
    fn wait(&self, times: u32, rng: &mut fastrand::Rng) {
        self.0.fetch_add(1, Ordering::AcqRel);
        let mut looks = 0;
        while self.0.load(Ordering::Acquire) < 2 * times {
            looks += 1;
            if looks % 200 == 0 {
                thread::yield_now();
            }
            std::hint::spin_loop();
        }
        for _ in 0..rng.u32(..16) {
            std::hint::spin_loop();
        }
    }
}

/// What the two sides of a race do: shard 0 sends, to shard 1.
struct Race {
    begin: fn(&mut Outlets<u32>),
    send: fn(&mut Outlets<u32>) -> bool,
    receive: fn(&Incoming<u32>) -> bool,
    /// Whether what both have returned may be, on the sender's thread.
    is_right: fn(&mut Outlets<u32>, bool, bool) -> bool,
    /// Makes all ready for the next time, on the receiver's.
    tidy: fn(&Incoming<u32>),
}

impl Race {
    const ROUNDS_MAX: u32 = 30_000;
    /// Rounds are slow where the two threads share a core.
    const TIME_MAX: Duration = Duration::from_secs(1);

    /// Runs it many times; returns how often its end was wrong.
    fn run(self) -> usize {
        let mut ends = mesh::<u32>(2, false).expect("eventfds");
        let (receiver, mut outlets) = (ends.remove(1), ends.remove(0).outlets);
        (self.begin)(&mut outlets);
        let meeting = Arc::new(Meeting::default());
        let (received, over) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (other_meeting, other_received) = (meeting.clone(), received.clone());
        let is_over = over.clone();
        let sends = thread::spawn(move || {
            let mut rng = fastrand::Rng::with_seed(0);
            let mut wrong = 0;
            let begun = Instant::now();
            for round in 0.. {
                meeting.wait(3 * round + 1, &mut rng);
                let sent = (self.send)(&mut outlets);
                meeting.wait(3 * round + 2, &mut rng);
                let received = received.load(Ordering::Acquire);
                wrong += usize::from(!(self.is_right)(&mut outlets, sent, received));
                let ends = round == Self::ROUNDS_MAX || begun.elapsed() > Self::TIME_MAX;
                over.store(ends, Ordering::Release);
                meeting.wait(3 * round + 3, &mut rng);
                if ends {
                    break;
                }
            }
            wrong
        });
        let receives = async {
            let (inbox, _outlets) = receiver.open(false).expect("an inbox");
            let incoming = inbox.incoming();
            let mut rng = fastrand::Rng::with_seed(1);
            for round in 0.. {
                other_meeting.wait(3 * round + 1, &mut rng);
                other_received.store((self.receive)(&incoming), Ordering::Release);
                other_meeting.wait(3 * round + 2, &mut rng);
                other_meeting.wait(3 * round + 3, &mut rng);
                (self.tidy)(&incoming);
                if is_over.load(Ordering::Acquire) {
                    break;
                }
            }
        };
        block_on(Driver::Epoll, receives).expect("an executor");
        sends.join().expect("it has ended")
    }
}

/// The four fences are there so that no round ends wrong, however the two threads' steps fall.
#[test]
fn in_every_race_one_side_sees_the_other() {
    let sleeps_on_it = Race {
        begin: |_| {},
        send: |outlets| {
            try_push(outlets, 1, 0).expect("its ring is empty");
            outlets.ring(ShardId::new(1))
        },
        receive: Incoming::may_sleep,
        is_right: |_, rang, sleeps| rang || !sleeps,
        tidy: |incoming| {
            incoming.promise_look();
            assert!(incoming.take().is_some());
        },
    };
    assert_eq!(sleeps_on_it.run(), 0, "asleep, with a message and not rung");
    let waits_for_room = Race {
        begin: |outlets| while try_push(outlets, 1, 0).is_ok() {},
        send: |outlets| {
            outlets.announce_lack_of_room();
            try_push(outlets, 1, 0).is_ok()
        },
        receive: |incoming| incoming.take().is_some(),
        is_right: |outlets, pushed, taken| {
            let rang = outlets.bells[0].has_rung();
            if !pushed {
                try_push(outlets, 1, 0).expect("there is room");
            }
            taken && (pushed || rang)
        },
        tidy: |_| {},
    };
    assert_eq!(waits_for_room.run(), 0, "waiting, with room and not rung");
}

/// Every shard sends to every other one, more at a time than a ring takes, and now and then.
async fn flood(index: usize, (mut inbox, mut outlets): Open) {
    const MESSAGES: u32 = 20_000;
    let shards = outlets.rings.len();
    let mut rng = fastrand::Rng::with_seed(index as u64);
    let mut sent = vec![0; shards];
    let mut outboxes = vec![VecDeque::new(); shards];
    let mut expected = vec![0; shards];
    sent[index] = MESSAGES;
    expected[index] = MESSAGES;
    let is_over = |sent: &[u32], expected: &[u32], outboxes: &[VecDeque<u32>]| {
        let all = sent.iter().chain(expected);
        all.min() == Some(&MESSAGES) && outboxes.iter().all(VecDeque::is_empty)
    };
    while !is_over(&sent, &expected, &outboxes) {
        let others = (0..shards).filter(|&other| other != index);
        for other in others.clone() {
            if outboxes[other].is_empty() && rng.bool() {
                let count = rng.u32(..2 * RING_MESSAGES_MAX as u32);
                let end = MESSAGES.min(sent[other] + count);
                outboxes[other].extend(sent[other]..end);
                sent[other] = end;
            }
            outlets.push(ShardId::new(other), &mut outboxes[other]);
        }
        outlets.announce_lack_of_room();
        for other in others {
            outlets.push(ShardId::new(other), &mut outboxes[other]);
            outlets.ring(ShardId::new(other));
        }
        // Whose messages have all left, or found no room, may sleep: then others must wake it.
        let has_more = |it: usize| outboxes[it].is_empty() && sent[it] < MESSAGES;
        if (0..shards).any(has_more) {
            inbox.stay_awake();
        }
        let messages = inbox.recv().await.expect("a bell");
        for (from, message) in messages.take(rng.usize(1..200)) {
            assert_eq!(message, expected[from.index()]);
            expected[from.index()] += 1;
        }
    }
}

#[test]
fn no_message_is_lost_among_many_and_full_rings() {
    for driver in drivers() {
        for groups in [&[1, 1][..], &[1, 1, 1, 1], &[2, 2], &[3]] {
            on_threads(driver, groups, flood);
        }
    }
}
