//! The bulk call of a batch: the body, and how its return value is handed out.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::split::split;
use super::{HandOut, Kept, Results, Split};
use crate::batch::start::Start;
use crate::sharing::IsResult;

/// How a bulk call's output is handed out.
#[derive(Debug)]
pub struct Handing<X, T, H, S, O>(
    pub(super) H,
    pub(super) S,
    pub(super) PhantomData<fn(T, X, O)>,
);

/// The bulk call that an expansion gives a batch.
pub trait Bulk<T, R>: Start + Send + 'static {
    /// The type of the body's closure, which each monomorphisation has for itself.
    type Body: 'static;
    /// Makes the call.
    fn run(self, items: Vec<T>) -> impl Future<Output = Results<R>> + Send + 'static
    where
        T: Send + 'static;
}

/// A bulk call that is made once.
#[derive(Debug)]
pub struct Once<X, T, H, S, O, B>(Handing<X, T, H, S, O>, B);

/// A bulk call that is made again with parts of a batch.
#[derive(Debug)]
pub struct InParts<X, T, H, S, O, B>(Handing<X, T, H, S, O>, B);

// The compiler shows the lines of these bounds, with their ends, if a body does not meet them.
impl<X, T, H, S, O> Handing<X, T, H, S, O> {
    /// Hands out what one call returns.
    pub fn __piggyback_bulk<B, F>(self, body: B) -> Once<X, T, H, S, O, B>
    where
        B: FnOnce(Vec<T>) -> F + Send + 'static,
        F: Future<Output = X> + Send + 'static, // since the bulk call runs in its own task
    {
        Once(self, body)
    }

    /// If a call returns an error, calls the body again with halves of the items.
    pub fn __piggyback_split<B, F>(self, body: B) -> InParts<X, T, H, S, O, B>
    where
        T: Clone,
        B: FnMut(Vec<T>) -> F + Send + 'static,
        F: Future<Output = X> + Send + 'static, // since the bulk call runs in its own task
    {
        InParts(self, body)
    }

    /// The same, but only after errors for which `splits` returns `true`. The callers of a part that gets another error share it.
    pub fn __piggyback_split_if<P, B, F>(self, splits: P, body: B) -> InPartsIf<X, T, H, S, O, P, B>
    where
        T: Clone,
        X: IsResult,
        P: Fn(&X::Err) -> bool + Send + 'static,
        B: FnMut(Vec<T>) -> F + Send + 'static,
        F: Future<Output = X> + Send + 'static, // since the bulk call runs in its own task
    {
        InPartsIf(self, splits, body)
    }
}

/// A bulk call that is made again with parts of a batch, after some errors.
#[derive(Debug)]
pub struct InPartsIf<X, T, H, S, O, P, B>(Handing<X, T, H, S, O>, P, B);

impl<X, T, H, S, O, P, B, F> Bulk<T, O> for InPartsIf<X, T, H, S, O, P, B>
where
    X: HandOut<T, H, S, O> + Split<T, H, S, O> + IsResult + 'static,
    T: Clone + 'static,
    H: Send + 'static,
    S: Send + 'static,
    O: Send + 'static,
    P: Fn(&X::Err) -> bool + Send + 'static,
    B: FnMut(Vec<T>) -> F + Send + 'static,
    F: Future<Output = X> + Send + 'static,
{
    type Body = B;
    fn run(self, items: Vec<T>) -> impl Future<Output = Results<O>> + Send + 'static
    where
        T: Send + 'static,
    {
        let Self(Handing(how, sharing, _), splits, body) = self;
        split(
            how,
            sharing,
            items,
            body,
            move |output: X, items, how: &H, sharing: &S| match output.into_result() {
                Err(error) if !splits(&error) => {
                    let kept = Kept::keep(items);
                    Err(X::from_result(Err(error)).hand_out(how, kept, sharing))
                }
                output => Ok(X::from_result(output)),
            },
        )
    }
}

impl<X, T, H, S, O, B, F> Bulk<T, O> for Once<X, T, H, S, O, B>
where
    X: HandOut<T, H, S, O> + 'static,
    T: 'static,
    H: Send + 'static,
    S: Send + 'static,
    O: 'static,
    B: FnOnce(Vec<T>) -> F + Send + 'static,
    F: Future<Output = X> + Send + 'static,
{
    type Body = B;
    fn run(self, items: Vec<T>) -> impl Future<Output = Results<O>> + Send + 'static
    where
        T: Send + 'static,
    {
        let Self(handing, body) = self;
        bulk(handing, items, body)
    }
}

impl<X, T, H, S, O, B, F> Bulk<T, O> for InParts<X, T, H, S, O, B>
where
    X: Split<T, H, S, O> + 'static,
    T: Clone + 'static,
    H: Send + 'static,
    S: Send + 'static,
    O: Send + 'static,
    B: FnMut(Vec<T>) -> F + Send + 'static,
    F: Future<Output = X> + Send + 'static,
{
    type Body = B;
    fn run(self, items: Vec<T>) -> impl Future<Output = Results<O>> + Send + 'static
    where
        T: Send + 'static,
    {
        let Self(Handing(how, sharing, _), body) = self;
        split(how, sharing, items, body, |output, _, _, _| Ok(output))
    }
}

impl<X, T, H, S, O, B> Start for Once<X, T, H, S, O, B> {}
impl<X, T, H, S, O, B> Start for InParts<X, T, H, S, O, B> {}
impl<X, T, H, S, O, P, B> Start for InPartsIf<X, T, H, S, O, P, B> {}

/// Runs the body on the items, and hands out what it returns.
pub(super) fn bulk<X, T, H, S, O, B, F>(
    handing: Handing<X, T, H, S, O>,
    items: Vec<T>,
    body: B,
) -> impl Future<Output = Results<O>>
where
    X: HandOut<T, H, S, O>,
    B: FnOnce(Vec<T>) -> F,
    F: Future<Output = X>,
{
    Handed::Begins {
        handing,
        items,
        body,
    }
}

pin_project! {
    /// One call of the body. Written by hand, since an `async fn` would have room for the items twice.
    #[project = Doing]
    #[project_replace = Did]
    enum Handed<H, I, B, F, K> {
        Begins { handing: H, items: I, body: B },
        Runs { #[pin] body: F, handing: H, kept: K },
        Ended,
    }
}

impl<X, T, H, S, O, B, F> Future for Handed<Handing<X, T, H, S, O>, Vec<T>, B, F, X::Kept>
where
    X: HandOut<T, H, S, O>,
    B: FnOnce(Vec<T>) -> F,
    F: Future<Output = X>,
{
    type Output = Results<O>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Results<O>> {
        if matches!(*self, Self::Begins { .. }) {
            if let Did::Begins {
                handing,
                items,
                body,
            } = self.as_mut().project_replace(Self::Ended)
            {
                let kept = Kept::keep(&items);
                let body = body(items);
                self.set(Self::Runs {
                    body,
                    handing,
                    kept,
                });
            }
        }
        let output = match self.as_mut().project() {
            Doing::Runs { body, .. } => ready!(body.poll(cx)),
            _ => panic!("polled again after it had ended"),
        };
        match self.project_replace(Self::Ended) {
            Did::Runs {
                handing: Handing(how, sharing, _),
                kept,
                ..
            } => Poll::Ready(output.hand_out(&how, kept, &sharing)),
            _ => unreachable!("it ran"),
        }
    }
}
