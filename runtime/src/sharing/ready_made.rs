//! Ready-made functions for `share_err`: error types of others that are not `Clone`.

/// One module for each of the two, which differ in their names only.
macro_rules! shared {
    ($feature:literal, $module:ident, $Error:ident, $new:path, $what:literal) => {
        #[cfg(feature = $feature)]
        #[doc = concat!("For functions that return [`", $what, "`](::", $what, ").")]
        pub mod $module {
            use std::error::Error as StdError;
            use std::fmt;
            use std::ops::Deref;
            use std::sync::Arc;

            use ::$module::$Error;

            #[doc = concat!("An [`", $what, "`](::", $what, ") that several callers share.")]
            ///
            /// Its message and its sources are those of the original, which it dereferences to: downcast to this type
            /// first, then to the error that was put in; [`shared`] has an example.
            #[derive(Clone)]
            pub struct Shared(Arc<$Error>);

            /// For `share_err`: gives each caller an error with the message and the sources of the original.
            ///
            /// ```
            /// use piggyback::dedup;
            ///
            #[doc = concat!("#[dedup(share_err = piggyback::", stringify!($module), "::shared)]")]
            #[doc = concat!("async fn port(name: &str) -> ", stringify!($module), "::Result<u16> {")]
            ///     Ok(name.parse()?)
            /// }
            ///
            /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            /// let (a, b) = tokio::join!(port("ninety"), port("ninety"));
            /// assert_eq!(a.unwrap_err().to_string(), "invalid digit found in string");
            /// let b = b.unwrap_err();
            /// assert_eq!(b.to_string(), "invalid digit found in string");
            /// # let _ = b;
            /// # });
            /// ```
            ///
            /// A caller that shares gets a [`Shared`] in its error, so `downcast_ref` finds the original only behind it.
            /// Code that inspects errors, such as the place that maps them to a status, must look through it:
            ///
            /// ```
            /// use std::num::ParseIntError;
            ///
            /// /// Finds an error of this type, shared or not.
            #[doc = concat!("fn find<E: std::error::Error + Send + Sync + 'static>(error: &", $what, ") -> Option<&E> {")]
            #[doc = concat!("    match error.downcast_ref::<piggyback::", stringify!($module), "::Shared>() {")]
            ///         Some(shared) => find(shared),
            ///         None => error.downcast_ref(),
            ///     }
            /// }
            ///
            /// # use piggyback::dedup;
            #[doc = concat!("# #[dedup(share_err = piggyback::", stringify!($module), "::shared)]")]
            #[doc = concat!("# async fn port(name: &str) -> ", stringify!($module), "::Result<u16> {")]
            /// #     tokio::task::yield_now().await;
            /// #     Ok(name.parse()?)
            /// # }
            /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            /// let (a, b) = tokio::join!(port("ninety"), port("ninety"));
            /// let b = b.unwrap_err();
            /// assert!(b.downcast_ref::<ParseIntError>().is_none());
            /// assert!(find::<ParseIntError>(&b).is_some());
            /// # assert!(find::<ParseIntError>(&a.unwrap_err()).is_some());
            /// # });
            /// ```
            pub fn shared(error: Arc<$Error>) -> $Error {
                $new(Shared(error))
            }

            impl Deref for Shared {
                type Target = $Error;
                fn deref(&self) -> &$Error {
                    &self.0
                }
            }

            impl StdError for Shared {
                fn source(&self) -> Option<&(dyn StdError + 'static)> {
                    (**self.0).source()
                }
            }

            // Without the `#` flag, whose chain a reporter makes of the sources.
            impl fmt::Display for Shared {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, "{}", self.0)
                }
            }

            impl fmt::Debug for Shared {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Debug::fmt(&self.0, f)
                }
            }
        }
    };
}

shared!(
    "anyhow",
    anyhow,
    Error,
    ::anyhow::Error::new,
    "anyhow::Error"
);
shared!("eyre", eyre, Report, ::eyre::Report::new, "eyre::Report");
