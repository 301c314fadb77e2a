// SPDX-License-Identifier: ISC
//! Tests: journals, state files and saved plans with each bit flipped, cut at each byte, and made up: refused or read, and
//! nothing else.

use crate::journal::{Change, Journal, Set, Side, Update};
use crate::saved::Saved;
use crate::service_dir::Id;
use crate::state::{Header, States};
use sys::AsFd;

/// Gives each bit flip and each beginning of these bytes, a longer one, and some by chance behind the same magic.
fn each(whole: &[u8], mut look: impl FnMut(&[u8])) {
    for at in 0..whole.len() {
        look(&whole[..at]);
        for bit in 0..8 {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << bit;
            look(&bytes);
        }
    }
    look(&[whole, &[0xff; 300]].concat());
    let mut random = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..3_000 {
        let mut bytes = whole.to_vec();
        for byte in bytes.iter_mut().skip(8) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Some bytes stay, so that what is behind them is reached; large numbers are likely.
            match random >> 61 {
                0..3 => *byte = (random >> 20) as u8,
                3 => *byte = 0xff,
                _ => {}
            }
        }
        look(&bytes);
    }
}

#[test]
fn a_damaged_journal_is_refused_or_read() {
    let (test, _) = crate::test_dir("damaged-journal");
    let path = std::ffi::CString::new(test.clone().into_os_string().into_encoded_bytes()).unwrap();
    let sv = sys::fs::open_dir(sys::CWD, &path).unwrap();
    let side = Side { generation: 300, hash: [7; 32] };
    let update = Update {
        old: side,
        new: Side { generation: 301, hash: [9; 32] },
        old_up: Set(vec![3, 1]),
        new_up: Set(vec![2]),
        from: vec![0, 65_535, 7],
    };
    for journal in
        [Journal::Init(side), Journal::Update(update), Journal::Change(Change { side, up: Set(vec![5]) })]
    {
        journal.write(sv.as_fd()).unwrap();
        assert_eq!(Journal::read(sv.as_fd()), Ok(Some(journal)));
        let file = test.join("journal");
        let whole = std::fs::read(&file).unwrap();
        each(&whole, |bytes| {
            std::fs::write(&file, bytes).unwrap();
            if let Ok(Some(Journal::Update(update))) = Journal::read(sv.as_fd()) {
                // What is read is no more than what is there.
                let sizes = update.old_up.0.len() + update.new_up.0.len() + update.from.len();
                assert!(sizes <= bytes.len());
                assert!(!update.old_up.has(usize::MAX));
            }
        });
    }
    crate::remove_test_dir(&test);
}

#[test]
fn a_damaged_plan_is_refused_or_read() {
    let saved = Saved {
        old: Side { generation: 3, hash: [1; 32] },
        old_up: Set(vec![3]),
        owed: Set(vec![4]),
        supervised: Set(vec![3]),
        new: [2; 32],
        path: b"/new.img".to_vec(),
        conversion: b"a -> b\n".to_vec(),
        stop: Set(vec![1]),
        start: Set(vec![]),
    };
    let whole = saved.encode().unwrap();
    let (mut read, mut refused) = (0, 0);
    each(&whole, |bytes| match Saved::decode(bytes) {
        Some(saved) => {
            read += 1;
            assert!(saved.path.len() + saved.conversion.len() + saved.stop.0.len() <= bytes.len());
        }
        None => refused += 1,
    });
    assert!(read > 0 && refused > whole.len());
}

#[test]
fn a_damaged_state_file_is_refused_or_read() {
    let (test, _) = crate::test_dir("damaged-state");
    let path = std::ffi::CString::new(test.clone().into_os_string().into_encoded_bytes()).unwrap();
    let dir = sys::fs::open_dir(sys::CWD, &path).unwrap();
    let header = Header { count: 11, generation: 300, hash: [5; 32], longruns: 3 };
    let ids = [1, 299, 300].map(|generation| Id { generation, index: 7 });
    States::create(dir.as_fd(), header, &ids).unwrap();
    let file = test.join("state");
    let whole = std::fs::read(&file).unwrap();
    each(&whole, |bytes| {
        std::fs::write(&file, bytes).unwrap();
        let Ok(mut states) = States::open(dir.as_fd(), true) else { return };
        for index in (0..20).chain([8_192, 65_535]) {
            assert_eq!(states.id(index), ids.get(index).copied(), "which directories they have is certain");
            let _ = (states.get(index), states.is_owed(index), states.owe(index, true));
        }
        let fits = |size| size == whole.len();
        let sizes = (states.iter().count(), states.longruns());
        assert!(fits(64 + sizes.0 + sizes.0.div_ceil(8) + 8 * sizes.1), "{sizes:?} do not fit");
    });
    crate::remove_test_dir(&test);
}
