//! What is written on a disk: sparse blocks that volumes and snapshots share until one is written.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// The size of a block of EBS direct, in bytes.
pub(crate) const BLOCK_SIZE: usize = 512 * 1024;
/// Blocks in a GiB.
pub(crate) const BLOCKS_PER_GIB: u64 = (1 << 30) / BLOCK_SIZE as u64;

/// One block: always [`BLOCK_SIZE`] bytes.
pub(crate) type Block = Arc<[u8]>;

/// The bytes of a disk. A clone costs nothing and keeps what was there at its moment: writing to one
/// side copies the map once and replaces blocks, never the bytes inside a shared block.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    blocks: Arc<BTreeMap<u32, Block>>,
}

impl Content {
    pub(crate) fn get(&self, index: u32) -> Option<&Block> {
        self.blocks.get(&index)
    }

    /// Puts a block in place. Zeros are data here: EBS direct lists a block of zeros that was put.
    pub(crate) fn put(&mut self, index: u32, block: Block) {
        Arc::make_mut(&mut self.blocks).insert(index, block);
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Blocks that hold data, in order, from one index on.
    pub(crate) fn blocks_from(&self, first: u32) -> impl Iterator<Item = (u32, &Block)> {
        self.blocks
            .range((Bound::Included(first), Bound::Unbounded))
            .map(|(index, block)| (*index, block))
    }

    /// Writes bytes as a disk does. Blocks that end up all zero become holes, as a trim would leave
    /// them.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let blocks = Arc::make_mut(&mut self.blocks);
        let mut position = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (index, start) = locate(position);
            let (part, later) = rest.split_at(rest.len().min(BLOCK_SIZE - start));
            let mut block = match blocks.get(&index) {
                Some(old) if part.len() < BLOCK_SIZE => old.to_vec(),
                _ => vec![0; BLOCK_SIZE],
            };
            block[start..start + part.len()].copy_from_slice(part);
            if block.iter().all(|byte| *byte == 0) {
                blocks.remove(&index);
            } else {
                blocks.insert(index, block.into());
            }
            position += part.len() as u64;
            rest = later;
        }
    }

    /// What a disk answers to a read; holes are zeros. Ends at the next block's border at the latest.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let (index, start) = locate(offset);
        let end = BLOCK_SIZE.min(start.saturating_add(length));
        self.get(index)
            .map_or_else(|| vec![0; end - start], |block| block[start..end].to_vec())
    }

    /// Indices at which the two differ, from one index on, each with what either side holds there.
    pub(crate) fn differences<'a>(&'a self, other: &'a Self, first: u32) -> Vec<(u32, bool, bool)> {
        if Arc::ptr_eq(&self.blocks, &other.blocks) {
            return Vec::new();
        }
        let mut indices: Vec<u32> = self
            .blocks_from(first)
            .chain(other.blocks_from(first))
            .map(|(index, _)| index)
            .collect();
        indices.sort_unstable();
        indices.dedup();
        indices
            .into_iter()
            .filter_map(|index| match (self.get(index), other.get(index)) {
                (Some(mine), Some(theirs)) if Arc::ptr_eq(mine, theirs) || mine == theirs => None,
                (mine, theirs) => Some((index, mine.is_some(), theirs.is_some())),
            })
            .collect()
    }
}

/// The block that holds a byte, and where in the block it is.
fn locate(position: u64) -> (u32, usize) {
    let size = BLOCK_SIZE as u64;
    let index = u32::try_from(position / size).unwrap_or(u32::MAX);
    let start = usize::try_from(position % size).unwrap_or_default();
    (index, start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_moment_of_a_clone() {
        let mut disk = Content::default();
        disk.write(10, b"before");
        let moment = disk.clone();
        disk.write(10, b"after!");
        assert_eq!(moment.read(10, 6), b"before");
        assert_eq!(disk.read(10, 6), b"after!");
    }

    #[test]
    fn shares_blocks_that_nobody_wrote() {
        let mut disk = Content::default();
        disk.write(0, b"shared");
        disk.write(BLOCK_SIZE as u64, b"old");
        let moment = disk.clone();
        disk.write(BLOCK_SIZE as u64, b"new");
        assert!(Arc::ptr_eq(disk.get(0).unwrap(), moment.get(0).unwrap()));
        assert_eq!(moment.differences(&disk, 0), [(1, true, true)]);
    }

    #[test]
    fn writes_across_the_border_of_blocks() {
        let mut disk = Content::default();
        let border = BLOCK_SIZE as u64;
        disk.write(border - 2, b"abcd");
        assert_eq!(disk.len(), 2);
        assert_eq!(disk.read(border - 2, 4), b"ab");
        assert_eq!(disk.read(border, 2), b"cd");
    }

    #[test]
    fn turns_zeros_into_holes() {
        let mut disk = Content::default();
        disk.write(0, &vec![1; BLOCK_SIZE * 2]);
        let moment = disk.clone();
        disk.write(0, &vec![0; BLOCK_SIZE]);
        assert_eq!(disk.len(), 1);
        assert_eq!(moment.differences(&disk, 0), [(0, true, false)]);
        assert_eq!(disk.read(5, 3), [0, 0, 0]);
    }

    #[test]
    fn keeps_the_rest_of_a_block_that_is_written_in_part() {
        let mut disk = Content::default();
        disk.write(0, &vec![7; BLOCK_SIZE]);
        disk.write(1, &[0]);
        assert_eq!(disk.read(0, 3), [7, 0, 7]);
    }
}
