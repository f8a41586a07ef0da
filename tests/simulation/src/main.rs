//! Runs worlds until the time is up: `simulation SECONDS [FIRST_SEED]`.

use std::time::{Duration, Instant};

use simulation::{Report, Size, run};

fn main() {
    let mut args = std::env::args()
        .skip(1)
        .filter_map(|arg| arg.parse::<u64>().ok());
    let seconds = args.next().unwrap_or(10);
    let first = args.next().unwrap_or(1);
    let began = Instant::now();
    let (mut all, mut worlds) = (Report::default(), 0u64);
    while began.elapsed() < Duration::from_secs(seconds) {
        let seed = first + worlds;
        match run(seed, Size::of(seed)) {
            Ok(report) => all.add(&report),
            Err(what) => {
                println!("{what}");
                std::process::exit(1);
            }
        }
        worlds += 1;
    }
    let seconds = began.elapsed().as_secs_f64();
    let (calls, transactions) = (all.calls, all.transactions);
    println!(
        "{worlds} worlds from seed {first}: {calls} calls, {transactions} transactions, {:.0} calls/s, {:.0} transactions/s",
        calls as f64 / seconds,
        transactions as f64 / seconds
    );
    println!("{:?}", all.scripts);
}
