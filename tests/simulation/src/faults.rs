//! The planted faults: mistakes that one could make in the core, each of which the simulator must find.
//!
//! A fault is a list of edits of the shipping text. `build.rs` compiles the core and the simulator once with each, and
//! refuses to build when a text is no longer there exactly once; `tests/planted.rs` plays seeds on it until one fails, at most
//! [`Fault::within`]. To add one, add it here. To see the table: `scripts/sim --planted`.

use super::edits::Edit;

/// A mistake.
#[allow(dead_code)] // the build script has no use for `within`
pub struct Fault {
    /// Its name, and that of its module.
    pub name: &'static str,
    /// It must be found within so many seeds: about ten times what it took when it was planted, at least 100.
    pub within: u64,
    /// What it changes.
    pub edits: &'static [Edit],
}

/// All of them.
pub const FAULTS: [Fault; 38] = [
    Fault {
        name: "acknowledged_before_the_commit",
        within: 100,
        edits: &[Edit {
            file: "journal/writer.rs",
            find: "self.lasts[core] = batch.last;",
            replace: "self.lasts[core] = batch.last; self.intake.watermark(core).raise(batch.last);",
        }],
    },
    Fault {
        name: "the_watermark_is_off_by_one",
        within: 100,
        edits: &[Edit { file: "journal/writer.rs", find: "raise(*last);", replace: "raise(*last + 1);" }],
    },
    Fault {
        name: "the_oldest_commit_is_not_replayed",
        within: 100,
        edits: &[Edit { file: "journal/recovery.rs", find: "in &commits {", replace: "in commits.iter().skip(1) {" }],
    },
    Fault {
        name: "commits_are_replayed_by_slot_instead_of_by_number",
        within: 100,
        edits: &[Edit {
            file: "journal/recovery.rs",
            find: "let mut mark = meta.mark;",
            replace: "let mut mark = meta.mark;\n    let mut commits = commits;\n    \
                      commits.sort_by_key(|stored| stored.slot);",
        }],
    },
    Fault {
        name: "the_token_counter_is_restored_from_the_table_alone",
        within: 100,
        edits: &[
            Edit { file: "journal/recovery.rs", find: "let mut mark = meta.mark;", replace: "let mut mark = 0;" },
            Edit { file: "journal/recovery.rs", find: "mark = mark.max(*its_mark);", replace: "_ = its_mark;" },
            Edit { file: "journal/recovery.rs", find: "mark = mark.max(record.token.get());", replace: "" },
        ],
    },
    Fault {
        name: "the_mark_is_taken_after_coalescing",
        within: 100,
        edits: &[Edit {
            file: "journal/writer.rs",
            find: "self.mark = self.mark.max(batch.mark);",
            replace: "let mut last = std::collections::BTreeMap::new();
                for change in super::decode(&batch.records) {
                    match change.expect(\"sound\") {
                        crate::lease::Change::Gone { name } => _ = last.remove(name),
                        crate::lease::Change::Granted(record) | crate::lease::Change::Extended(record) => {
                            last.insert(record.name, record.token.get());
                        }
                    }
                }
                self.mark = self.mark.max(last.into_values().max().unwrap_or(0));",
        }],
    },
    Fault {
        name: "leases_run_out_by_the_wall_clock",
        within: 100,
        edits: &[Edit {
            file: "hub/turn.rs",
            find: "shard.sweep(clock::now_ns(),",
            replace: "shard.sweep(clock::wall_ns(),",
        }],
    },
    Fault {
        name: "a_deadline_rests_on_the_turns_clock",
        within: 100,
        edits: &[
            Edit {
                file: "hub/mod.rs",
                find: "    probed: Cell<Option<(u64, Seq)>>,",
                replace: "    probed: Cell<Option<(u64, Seq)>>,\n    turn_ns: Cell<u64>,",
            },
            Edit {
                file: "hub/mod.rs",
                find: "            probed: Cell::new(None),",
                replace: "            probed: Cell::new(None),\n            turn_ns: Cell::new(0),",
            },
            Edit {
                file: "hub/turn.rs",
                find: "if !self.turn.end_is_due.replace(true) {",
                replace: "if !self.turn.end_is_due.replace(true) {\n            self.turn_ns.set(clock::now_ns());",
            },
            Edit {
                file: "hub/mod.rs",
                find: "let now_ns = clock::now_ns();\n                let command",
                replace: "let now_ns = self.turn_ns.get();\n                let command",
            },
        ],
    },
    Fault {
        name: "a_renewal_is_lengthened_without_a_write",
        within: 100,
        edits: &[Edit {
            file: "lease/table.rs",
            find: "if noted || lease.ttl > lease.recorded_ttl {",
            replace: "if noted {",
        }],
    },
    Fault {
        name: "a_retry_is_answered_before_the_commit_of_the_first",
        within: 100,
        edits: &[Edit {
            file: "lease/table.rs",
            find: "self.extend(slot, now_ns, Some(ttl), metadata, ports);\n                    self.reply(slot, acquired)",
            replace: "self.extend(slot, now_ns, Some(ttl), metadata, ports);\n                    \
                      Reply { rests_on: 0, ..self.reply(slot, acquired) }",
        }],
    },
    Fault {
        name: "not_found_is_said_before_the_removal_commits",
        within: 100,
        edits: &[Edit {
            file: "lease/table.rs",
            find: "denied(Denied::NotFound, self.changed(free))",
            replace: "denied(Denied::NotFound, 0)",
        }],
    },
    Fault {
        name: "a_list_shows_what_is_not_committed",
        within: 100,
        edits: &[Edit { file: "shard.rs", find: "rests_on: self.ledger.last }", replace: "rests_on: 0 }" }],
    },
    Fault {
        name: "a_tombstone_is_forgotten_too_early",
        within: 100,
        edits: &[Edit {
            file: "shard.rs",
            find: "self.table.forget(durable, most)",
            replace: "self.table.forget(durable.max(self.ledger.last), most)",
        }],
    },
    Fault {
        name: "an_absence_is_coalesced_away_over_an_older_row",
        within: 200,
        edits: &[Edit {
            file: "journal/fold.rs",
            find: "entry.state = state;",
            replace: "entry.state = state;\n                \
                      entry.stored &= !matches!(&change, Change::Granted(_));",
        }],
    },
    Fault {
        name: "the_tail_is_taken_to_have_no_rows",
        within: 6000,
        edits: &[Edit {
            file: "journal/fold.rs",
            find: "self.take_in(commit, now_ns, records, |_| true)",
            replace: "self.absorb(commit, now_ns, records)",
        }],
    },
    Fault {
        name: "a_row_is_folded_from_what_is_not_committed",
        within: 100,
        edits: &[
            Edit {
                file: "journal/writer.rs",
                find: "            self.journal.append(&Commit {",
                replace: "            self.dirty.absorb(self.number, began_ns, &self.records).expect(\"sound\");
            let slice = self.dirty.slice(u64::MAX, 1, 1, self.number - 1);
            self.journal.fold(&slice.rows, self.mark, slice.through.min(self.number - 1))?;
            self.journal.append(&Commit {",
            },
            Edit {
                file: "journal/writer.rs",
                find: "let what = |e| JournalError::Corrupt(format!(\"commit {}, written just now: {e}\", \
                       self.number));\n            \
                       self.dirty.absorb(self.number, now_ns, &self.records).map_err(what)?;",
                replace: "",
            },
        ],
    },
    Fault {
        name: "trimming_runs_ahead_of_the_rows",
        within: 100,
        edits: &[Edit {
            file: "journal/fold.rs",
            find: "|entry| entry.commit - 1);",
            replace: "|entry| entry.commit);",
        }],
    },
    Fault {
        name: "a_place_is_given_back_twice",
        within: 100,
        edits: &[Edit {
            file: "lease/table.rs",
            find: "        ports.give_back(lease.user);\n        self.wheel",
            replace: "        ports.give_back(lease.user);\n        if self.held > 1 {\n            \
                      ports.give_back(lease.user);\n        }\n        self.wheel",
        }],
    },
    Fault {
        name: "the_sleeper_does_not_say_that_it_waits_for_a_commit",
        within: 100,
        edits: &[Edit {
            file: "hub/turn.rs",
            find: "gate.doze(waits_for_room || self.awaits_a_commit() || turn.sweep_is_due.get());",
            replace: "gate.doze(waits_for_room || turn.sweep_is_due.get());",
        }],
    },
    Fault {
        name: "the_sleeper_does_not_say_that_what_it_asked_for_waits_for_a_commit",
        within: 100,
        edits: &[Edit {
            file: "hub/turn.rs",
            find: "self.waiters.any() || self.tickets.borrow().outstanding() > 0",
            replace: "self.waiters.any()",
        }],
    },
    Fault {
        name: "who_waits_for_another_core_is_not_told_that_the_journal_has_failed",
        within: 2000,
        edits: &[Edit {
            file: "hub/turn.rs",
            find: "tickets.waiters().filter_map(|parcel| parcel.waiter.take()).for_each(|waiter| self.turn.wake(waiter));",
            replace: "drop(tickets);",
        }],
    },
    Fault {
        name: "the_refusal_for_the_limit_does_not_wait",
        within: 100,
        edits: &[Edit {
            file: "lease/table.rs",
            find: "denied(Denied::LimitReached, self.changed(free))",
            replace: "denied(Denied::LimitReached, 0)",
        }],
    },
    Fault {
        name: "a_sweep_without_room_goes_on_for_ever",
        within: 8000,
        edits: &[Edit { file: "hub/turn.rs", find: " || !self.intake.has_taken_all(self.core) {", replace: " {" }],
    },
    Fault {
        name: "a_refused_ask_keeps_its_ticket",
        within: 400,
        edits: &[Edit {
            file: "hub/mod.rs",
            find: "            Err(ask) => {\n                self.tickets.borrow_mut().settle(ask.ticket);",
            replace: "            Err(_) => {",
        }],
    },
    Fault {
        name: "a_restore_leaves_the_token_counter_as_it_was",
        within: 200,
        edits: &[Edit {
            file: "journal/restore.rs",
            find: "let mark = now_s.saturating_mul(TOKENS_A_SECOND);",
            replace: "let mark = backup.mark;",
        }],
    },
    Fault {
        name: "a_second_restore_comes_out_where_the_first_did",
        within: 200,
        edits: &[Edit {
            file: "journal/restore.rs",
            find: "let mark = now_s.saturating_mul(TOKENS_A_SECOND);",
            replace: "let mark = backup.mark + (1 << 42);",
        }],
    },
    Fault {
        name: "a_restore_grants_at_once",
        within: 600,
        edits: &[Edit {
            file: "journal/restore.rs",
            find: "let grace_s = if with_grace { GRACE_S } else { 0 };",
            replace: "let grace_s = if with_grace { GRACE_S / 10 } else { 0 };",
        }],
    },
    Fault {
        name: "a_restore_keeps_the_leases_of_the_backup",
        within: 200,
        edits: &[Edit { file: "journal/memory.rs", find: "        content.held.rows.clear();\n", replace: "" }],
    },
    Fault {
        name: "a_list_in_parts_goes_from_the_first_place_to_the_last",
        within: 2000,
        edits: &[
            Edit {
                file: "lease/table.rs",
                find: "let left = scan.left.map_or(slots.len(), |left| left.min(slots.len()));\n        \
                       let end = left.saturating_sub(most);",
                replace: "let end = scan.left.unwrap_or(0).min(slots.len());\n        \
                          let left = (end + most).min(slots.len());",
            },
            Edit {
                file: "lease/table.rs",
                find: "scan.left = Some(end);\n        end == 0",
                replace: "scan.left = Some(left);\n        left == slots.len()",
            },
        ],
    },
    Fault {
        name: "a_list_in_parts_skips_a_place_between_two_parts",
        within: 100,
        edits: &[Edit {
            file: "lease/table.rs",
            find: "scan.left = Some(end);",
            replace: "scan.left = Some(end.saturating_sub(1));",
        }],
    },
    Fault {
        name: "a_list_in_parts_counts_a_place_twice",
        within: 100,
        edits: &[Edit {
            file: "lease/table.rs",
            find: "scan.left = Some(end);",
            replace: "scan.left = Some(end + usize::from(scan.left.is_none()));",
        }],
    },
    Fault {
        name: "the_index_gives_up_room_by_another_hash",
        within: 300,
        edits: &[Edit {
            file: "journal/fold.rs",
            find: "numbers.shrink_to(behind.capacity(), |&n| hasher.hash_one(&*behind[(n - *first) as usize].name));",
            replace: "numbers.shrink_to(behind.capacity(), |&n| hasher.hash_one(n));",
        }],
    },
    Fault {
        name: "a_name_is_forgotten_with_its_older_removal",
        within: 2500,
        edits: &[Edit { file: "lease/table.rs", find: "\n                && *changed == seq", replace: "" }],
    },
    Fault {
        name: "what_is_more_than_a_turn_forgets_is_left",
        within: 1000,
        edits: &[Edit {
            file: "hub/turn.rs",
            find: "!self.shard.borrow_mut().forget(durable, FORGET_PER_TURN)",
            replace: "self.shard.borrow_mut().forget(durable, FORGET_PER_TURN);\n        false",
        }],
    },
    Fault {
        name: "the_sleeper_does_not_say_that_its_sweep_waits_for_the_journal",
        within: 100,
        edits: &[Edit {
            file: "hub/turn.rs",
            find: "gate.doze(waits_for_room || self.awaits_a_commit() || turn.sweep_is_due.get());",
            replace: "gate.doze(waits_for_room || self.awaits_a_commit());",
        }],
    },
    Fault {
        name: "a_sliced_copy_mixes_two_commits",
        within: 100,
        edits: &[Edit {
            file: "journal/memory_copy.rs",
            find: "if self.last.as_ref().is_some_and(|last| page <= last) {",
            replace: "if false {",
        }],
    },
    Fault {
        name: "a_sliced_copy_keeps_rows_of_before_a_fold",
        within: 200,
        edits: &[Edit {
            file: "journal/memory_copy.rs",
            find: "if self.last.as_ref().is_some_and(|last| page <= last) {",
            replace: "if self.last.as_ref().is_some_and(|last| page <= last) && !matches!(page, Page::Row(_)) {",
        }],
    },
    Fault {
        name: "a_backup_is_written_to_after_its_last_slice",
        within: 200,
        edits: &[
            Edit {
                file: "journal/memory_copy.rs",
                find: "let whole = content.copying.take().map(|copying| copying.held);",
                replace: "let whole = Some(Held::default());",
            },
            Edit {
                file: "journal/memory_copy.rs",
                find: "if let Some(held) = whole {",
                replace: "if whole.is_some() {\n                let held = \
                          self.0.content().copying.take().expect(\"under way\").held;",
            },
        ],
    },
];
