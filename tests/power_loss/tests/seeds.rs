//! The promises over thousands of crash points.

use power_loss::disk::Lie;
use power_loss::play;
use power_loss::world::Mistake;

/// `OCTOSTORE_POWER_SEEDS` says how many (default 600, each with 1 to 5 lives), `OCTOSTORE_POWER_SEED` from which on.
#[test]
fn what_was_acknowledged_survives_any_loss_of_power_and_any_error_of_the_disk() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |n| n.parse().expect("a number"));
    let (first, count) = (number("OCTOSTORE_POWER_SEED", 0), number("OCTOSTORE_POWER_SEEDS", 600));
    if count == 1 {
        power_loss::story::tell();
    }
    let begin = std::time::Instant::now();
    let (tally, broken) = play::seeds(first, count, Lie::None, Mistake::None);
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "seeds {first} to {} in {seconds:.1} s ({:.0} a minute): {tally:?}",
        first + count,
        count as f64 / seconds * 60.0
    );
    if let Some((seed, what)) = broken {
        panic!("seed {seed} breaks a promise (scripts/power-loss {seed} plays it again): {what}");
    }
    if count >= 600 {
        let met = [
            tally.in_a_call,
            tally.in_the_first_start,
            tally.failures,
            tally.unacknowledged_but_there,
            tally.unacknowledged_and_gone,
            tally.checkpoints,
            tally.account_changes,
            tally.account_changes_and_gone,
            tally.backups,
            tally.between_slices,
            tally.in_a_restore,
            tally.restored,
        ];
        assert!(met.iter().all(|met| *met >= 5), "a corner is hardly ever met: {tally:?}");
    }
}
