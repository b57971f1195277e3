//! A loom model of how tables are armed and disarmed.

use std::mem;

use super::armed::Visit;
use super::tests::{ID, Notes, notes, visit};
use super::*;
use crate::model::{model, spawn};
use crate::sync::Mutex;

/// Calls leave a note each, and arm the table, while the watch looks at it and disarms it. Whenever all stand still, the
/// table is in the list once, or there is nothing to look at.
#[test]
fn an_armed_table_is_in_the_list_once_or_has_nothing_to_look_at() {
    struct World {
        table: Arc<Notes>,
        list: Mutex<Vec<Armed>>,
    }
    impl World {
        fn call(&self) {
            self.table.leave_a_note();
            if self.table.watch().armed.load(SeqCst) == 0 {
                self.list.lock().extend(Armed::new(&self.table, ID));
            }
        }
        fn look(&self) {
            let list = mem::take(&mut *self.list.lock());
            assert!(list.len() <= 1, "it is there once");
            for mut armed in list {
                if visit(&mut armed) == Visit::Stays {
                    self.list.lock().push(armed);
                }
            }
        }
    }
    model(|| {
        let world = Arc::new(World {
            table: notes(0),
            list: Mutex::new(Vec::new()),
        });
        world.call();
        let calls = [(); 2].map(|()| {
            let world = world.clone();
            spawn(move || world.call())
        });
        let watch = world.clone();
        let watch = spawn(move || {
            watch.look();
            watch.look();
        });
        for call in calls {
            call.join().unwrap();
        }
        watch.join().unwrap();
        let listed = world.list.lock().len();
        assert!(listed == 1 || listed == 0 && world.table.is_quiet());
    });
}
