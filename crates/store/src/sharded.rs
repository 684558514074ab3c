//! A map of which a changed copy is cheap.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher as _};
use std::sync::Arc;

use crate::names::NameKey;
use crate::{Id, KeyDigest};

const SHARDS: usize = 256;

/// A hash map in parts that copies share: a copy costs a few hundred counters, and a change
/// copies one part.
#[derive(Debug, Clone)]
pub(crate) struct Sharded<K, V> {
    shards: Box<[Arc<HashMap<K, V>>]>,
    len: usize,
}

/// Tells in which part of a [`Sharded`] map a key is.
pub(crate) trait ShardKey: Eq + Hash {
    /// Any number; equal keys have equal ones.
    fn shard(&self) -> u8;
}

impl ShardKey for Id {
    fn shard(&self) -> u8 {
        self.0[0]
    }
}

impl ShardKey for KeyDigest {
    fn shard(&self) -> u8 {
        self.0[0]
    }
}

impl ShardKey for NameKey {
    fn shard(&self) -> u8 {
        hashed(self)
    }
}

impl ShardKey for str {
    fn shard(&self) -> u8 {
        hashed(&self)
    }
}

impl ShardKey for Box<str> {
    fn shard(&self) -> u8 {
        (**self).shard()
    }
}

fn hashed(key: &impl Hash) -> u8 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() as u8
}

impl<K, V> Default for Sharded<K, V> {
    fn default() -> Self {
        Sharded {
            shards: vec![Arc::default(); SHARDS].into(),
            len: 0,
        }
    }
}

impl<K: ShardKey + Clone, V: Clone> Sharded<K, V> {
    pub(crate) fn get<Q: ShardKey + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.shards[usize::from(key.shard())].get(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let shard = &mut self.shards[usize::from(key.shard())];
        let before = Arc::make_mut(shard).insert(key, value);
        self.len += usize::from(before.is_none());
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let shard = &mut self.shards[usize::from(key.shard())];
        // A part without the key is not copied.
        if !shard.contains_key(key) {
            return None;
        }
        self.len -= 1;
        Arc::make_mut(shard).remove(key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.shards.iter().flat_map(|shard| shard.values())
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn it_is_a_map_and_its_copies_stand_still(
            steps in prop::collection::vec((any::<bool>(), 0u8..8, 0u8..8, any::<u32>()), 0..200)
        ) {
            let mut model = HashMap::new();
            let mut map = Sharded::default();
            let mut copies = Vec::new();
            for (insert, high, low, value) in steps {
                let mut key = Id([0; 16]);
                (key.0[0], key.0[15]) = (high, low);
                if insert {
                    model.insert(key, value);
                    map.insert(key, value);
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
                copies.push((map.clone(), model.clone()));
            }
            for (map, model) in copies {
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(map.values().count(), model.len());
                for (key, value) in &model {
                    prop_assert_eq!(map.get(key), Some(value));
                }
            }
        }
    }
}
