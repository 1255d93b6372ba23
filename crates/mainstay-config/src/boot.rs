//! What the settings' own rules may know of the start: the profile.

/// The context that rules can ask for, to be stricter in one profile than in another.
///
/// A struct whose rules want it says so, and hands `()` to the parts whose rules do not:
///
/// ```
/// use mainstay_config::{Boot, Loader};
///
/// #[derive(Debug, serde::Deserialize, garde::Validate)]
/// #[garde(context(Boot as boot))]
/// struct Settings {
///     #[garde(custom(enough))]
///     copies: u16,
///     #[garde(dive(()))]
///     server: Server,
/// }
///
/// #[derive(Debug, serde::Deserialize, garde::Validate)]
/// struct Server {
///     #[garde(range(min = 1))]
///     workers: u16,
/// }
///
/// fn enough(copies: &u16, boot: &Boot) -> garde::Result {
///     if boot.profile == "production" && *copies < 2 {
///         return Err(garde::Error::new("fewer than 2 in production"));
///     }
///     Ok(())
/// }
///
/// let given = || Loader::new("orders").environment([("ORDERS__COPIES", "1"), ("ORDERS__SERVER__WORKERS", "4")]);
/// assert!(given().load::<Settings>().is_ok());
/// assert!(given().profile(Some("production".to_owned())).load::<Settings>().is_err());
/// ```
///
/// A context of the application's own works too, if it can be made `From<Boot>`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Boot {
    /// The application's name, as given to [`Loader::new`](crate::Loader::new).
    pub app: String,
    /// The profile in force.
    pub profile: String,
}

impl From<Boot> for () {
    fn from(_: Boot) {}
}
