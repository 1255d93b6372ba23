//! What a value needs that travels as text: in JSON, and in a key of the database.

/// Completes a type that has `Display`, `FromStr` and SeaORM's `DeriveValueType`.
macro_rules! text_value {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        // SeaORM asks this of every part of a primary key, for databases that number rows themselves.
        impl sea_orm::TryFromU64 for $type {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($type)))
            }
        }
    };
}

pub(crate) use text_value;
