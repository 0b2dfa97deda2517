//! coldsnap, which nobody here wrote, against the simulator's EBS direct interface.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints its figure"
)]

use coldsnap::{SnapshotDownloader, SnapshotUploader, SnapshotWaiter};
use holdfast_tests::account::{Account, Stack};
use std::io::{Seek, SeekFrom, Write};

/// A sparse disk image with data at its start, across block borders and at its very end.
fn disk_image(path: &std::path::Path, size: u64) {
    let mut file = std::fs::File::create(path).unwrap();
    file.set_len(size).unwrap();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for offset in [0, 512 * 1024 - 7, 5 * 512 * 1024, 40 << 20, size - 100_000] {
        let mut bytes = Vec::with_capacity(100_000);
        for _ in 0..12_500 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(&bytes).unwrap();
    }
    assert_eq!(file.metadata().unwrap().len(), size);
}

#[tokio::test(flavor = "multi_thread")]
async fn coldsnap_gets_back_byte_for_byte_what_it_put_in() {
    let account = Account::new(&Stack::from_environment()).await;
    let folder = tempfile::tempdir().unwrap();
    let (original, copy) = (folder.path().join("original.img"), folder.path().join("copy.img"));
    disk_image(&original, 1 << 30);
    let snapshot = SnapshotUploader::new(account.ebs())
        .upload_from_file(
            &original,
            None,
            Some("a disk"),
            None,
            None,
            None,
            None,
            None,
            Some(8),
        )
        .await
        .unwrap();
    SnapshotWaiter::new(account.ec2())
        .wait_for_completed(&snapshot)
        .await
        .unwrap();
    SnapshotDownloader::new(account.ebs())
        .download_to_file(&snapshot, &copy, None, None, Some(8))
        .await
        .unwrap();
    let (original, copy) = (std::fs::read(original).unwrap(), std::fs::read(copy).unwrap());
    assert!(
        original == copy,
        "the downloaded image differs from the uploaded one"
    );
}
