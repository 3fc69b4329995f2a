//! The picture of [`super::growth`].
