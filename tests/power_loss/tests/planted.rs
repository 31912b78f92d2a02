//! Can it find anything? Disks that lie and a journal that is used wrongly, and how many seeds each takes.

use power_loss::disk::Lie;
use power_loss::play;
use power_loss::world::Mistake;

/// Each must be found within so many seeds: at least ten times what it took when it was planted.
const FAULTS: [(&str, Lie, Mistake, u64); 13] = [
    ("nothing is synced (synchronous=OFF)", Lie::NothingIsSynced, Mistake::None, 200),
    ("commits are not synced (synchronous=NORMAL)", Lie::CommitsAreNotSynced, Mistake::None, 200),
    ("checkpoints do not sync the database", Lie::TheDatabaseIsNotSynced, Mistake::None, 200),
    ("the directory is not synced", Lie::TheDirectoryIsNotSynced, Mistake::None, 200),
    ("a sync leaves out the last write", Lie::TheLastWriteIsNotSynced, Mistake::None, 200),
    ("acknowledged before the append", Lie::None, Mistake::AcknowledgedTooEarly, 200),
    ("one commit too many is trimmed", Lie::None, Mistake::TrimmedTooFar, 200),
    ("trimmed before the rows are written", Lie::None, Mistake::TrimmedBeforeTheRows, 200),
    ("what the server syncs by itself is not synced", Lie::TheServersOwnSyncsAreNone, Mistake::None, 200),
    ("an account's change is answered before it is made", Lie::None, Mistake::AccountAnsweredTooEarly, 400),
    ("a backup is named without a sync", Lie::None, Mistake::BackedUpWithoutASync, 200),
    ("a restored database is named without a sync", Lie::None, Mistake::RestoredWithoutASync, 400),
    ("a restored database grants at once", Lie::None, Mistake::RestoredWithoutGrace, 200),
];

#[test]
fn every_planted_fault_is_found_within_its_number_of_seeds() {
    let mut missed = Vec::new();
    println!("{:>6}  {:>6}  {:<44} by", "seeds", "within", "fault");
    for (name, lie, mistake, within) in FAULTS {
        match play::seeds(0, within, lie, mistake).1 {
            Some((seed, what)) => {
                println!("{:>6}  {within:>6}  {name:<44} {}", seed + 1, what.chars().take(60).collect::<String>());
            }
            None => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
