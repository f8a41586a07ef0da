//! Worlds from many seeds, each to its end. `PERCORE_SEED` names the first one, `PERCORE_WORLDS`
//! how many there are.

use simulation::{Size, run};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[test]
fn every_world_does_what_the_model_does() {
    let first = number("PERCORE_SEED", 1);
    let worlds = number("PERCORE_WORLDS", 400);
    let mut transactions = 0;
    for seed in first..first + worlds {
        match run(seed, Size::of(seed)) {
            Ok(report) => transactions += report.transactions,
            Err(what) => panic!("{what}"),
        }
    }
    println!("{worlds} worlds, {transactions} transactions");
    assert!(
        transactions > 10 * worlds,
        "the worlds are too quiet to say anything"
    );
}

#[test]
fn a_seed_decides_everything() {
    for seed in [3, 5, 8] {
        let size = Size::of(seed);
        let [one, other] = [(); 2].map(|()| run(seed, size).expect("a world that ends well"));
        assert_eq!(one.steps, other.steps);
    }
}
