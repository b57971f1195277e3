//! Counts the errors of the cases of wrong use: each case is one mistake, and gets one error and no warning.

use std::fs;
use std::path::Path;

pub fn one_mistake_gets_one_error(folder: &Path, least: usize) {
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "stderr") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let count = |word| text.lines().filter(|line| line.starts_with(word)).count();
        let counted = (count("error"), count("warning"));
        assert_eq!(counted, (1, 0), "{}", path.display());
        cases += 1;
    }
    assert!(cases >= least, "{cases} cases");
}
