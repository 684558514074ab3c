//! What a step works out from its input's columns, kept for the next call.

use std::sync::{Arc, PoisonError, RwLock};

use tables::Schema;

/// Something worked out from a schema, kept for the schema seen last: the calls of a service
/// nearly always have the same.
pub(crate) struct SchemaCache<T> {
    known: RwLock<Option<(Arc<Schema>, Arc<T>)>>,
}

impl<T> Default for SchemaCache<T> {
    fn default() -> Self {
        SchemaCache {
            known: RwLock::new(None),
        }
    }
}

impl<T> SchemaCache<T> {
    /// What `make` works out for this schema.
    pub(crate) fn get<E>(
        &self,
        schema: &Arc<Schema>,
        make: impl FnOnce(&Schema) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((of, value)) = known.as_ref()
                && (Arc::ptr_eq(of, schema) || of == schema)
            {
                return Ok(Arc::clone(value));
            }
        }
        let value = Arc::new(make(schema)?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Some((Arc::clone(schema), Arc::clone(&value)));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tables::{DataType, Field};

    #[test]
    fn the_work_is_done_once_for_equal_schemas() {
        let schema =
            |name: &str| Arc::new(Schema::new(vec![Field::new(name, DataType::Int32)]).unwrap());
        let cache = SchemaCache::default();
        let mut made = 0;
        let mut get = |schema: &Arc<Schema>| {
            let value = cache.get(schema, |_| {
                made += 1;
                Ok::<_, ()>(made)
            });
            *value.unwrap()
        };
        assert_eq!(
            [get(&schema("a")), get(&schema("a")), get(&schema("b"))],
            [1, 1, 2]
        );
        assert_eq!(get(&schema("a")), 3);
        assert!(cache.get(&schema("c"), |_| Err::<i32, ()>(())).is_err());
    }
}
