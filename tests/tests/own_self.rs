//! In a body that runs in a task, `self` is what it is anywhere else: in texts, in the names of fields, in macros.
#![deny(warnings)]

use std::fmt;
use std::sync::{Arc, Mutex};

use piggyback::{batch, dedup};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Service {
    tenant: u64,
    name: String,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service {}", self.tenant)
    }
}

/// The body of each: the same text of the receiver and the id.
macro_rules! says {
    ($this:ident, $id:expr) => {
        $this.says($id)
    };
}

impl Service {
    fn says(&self, id: u64) -> String {
        format!("{self} {id}")
    }

    #[dedup(spawn)]
    async fn texts(&self, id: u64) -> Vec<String> {
        let mut text = String::new();
        fmt::Write::write_fmt(&mut text, format_args!("{self} {id}")).unwrap();
        vec![
            text,
            format!("{self:>10}|{}", self.name),
            format!("{self}, {self:?}, {}", format!("{self}")),
            format!("{{self}} {}", self.tenant,),
            format!("{self}", self = self.name),
            format!("{0} {self} {name}", id, name = self.name),
        ]
    }

    #[batch(size = 10, eager)]
    async fn texts_in_bulk(&self, ids: Vec<u64>) -> Vec<String> {
        ids.iter().map(|id| format!("{self} {id}")).collect()
    }

    #[dedup(spawn)]
    async fn macros(&self, id: u64) -> Vec<String> {
        macro_rules! text {
            () => {
                format!("{} {id}", self)
            };
            ($other:expr) => {
                format!("{} {id} {}", self.tenant, $other)
            };
        }
        let closure = || text!(self.name);
        let block = async { text!(self) };
        struct Inner(u64);
        impl Inner {
            fn text(&self) -> String {
                format!("{}", self.0)
            }
        }
        impl fmt::Display for Inner {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)?;
                Ok(())
            }
        }
        let says = says!(self, id);
        let inner = Inner(id);
        vec![
            text!(),
            closure(),
            block.await,
            says,
            inner.text(),
            format!("{inner}"),
        ]
    }

    #[batch(size = 10, eager, key(self = self.tenant))]
    async fn asserts(self: Arc<Self>, ids: Vec<u64>) -> Vec<u64> {
        assert!(self.tenant > 3);
        debug_assert!(self.name.is_empty(), "{self} has a name");
        assert_eq!(self.tenant, 5, "{self}");
        ids
    }

    #[dedup(spawn)]
    async fn fields(&self, id: u64) -> u64 {
        let span = tracing::info_span!("found", ?self, self.tenant);
        let _entered = span.enter();
        tracing::info!(?self, self.tenant, %self.name, id, "found {} by {self}", self.tenant);
        tracing::event!(tracing::Level::INFO, self.tenant = self.tenant + 1, self = %self);
        tracing::warn!("{}", self.name);
        id
    }
}

/// A trait has no place for a second method.
trait Texts {
    fn text(&self, id: u64) -> impl Future<Output = String> + Send;
}

impl Texts for Service {
    #[batch(size = 10, eager)]
    async fn text(&self, ids: Vec<u64>) -> Vec<String> {
        ids.iter().map(|id| format!("{self} {id}")).collect()
    }
}

fn service(tenant: u64) -> Service {
    Service {
        tenant,
        name: String::from("Ada"),
    }
}

#[tokio::test]
async fn texts_are_about_self() {
    let service = service(1);
    let expected = [
        "service 1 2",
        "service 1|Ada",
        r#"service 1, Service { tenant: 1, name: "Ada" }, service 1"#,
        "{self} 1",
        "Ada",
        "2 service 1 Ada",
    ];
    assert_eq!(service.texts(2).await, expected);
    assert_eq!(service.texts_in_bulk(2).await, "service 1 2");
    assert_eq!(service.text(2).await, "service 1 2");
}

#[tokio::test]
async fn macros_closures_blocks_and_items_say_self() {
    let expected = [
        "service 1 2",
        "1 2 Ada",
        "1 2 service 1",
        "service 1 2",
        "2",
        "2",
    ];
    assert_eq!(service(1).macros(2).await, expected);
}

/// The message of a panic.
async fn panic_of(tenant: u64, name: &str) -> String {
    let service = Service {
        tenant,
        name: name.into(),
    };
    let call = tokio::spawn(Arc::new(service).asserts(1));
    let panic = call.await.unwrap_err().into_panic();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[tokio::test]
async fn assertions_say_what_is_written() {
    let panic = panic_of(1, "").await;
    assert!(
        panic.contains("assertion failed: self.tenant > 3"),
        "{panic}"
    );
    let panic = panic_of(4, "Ada").await;
    assert!(panic.contains("service 4 has a name"), "{panic}");
    let panic = panic_of(4, "").await;
    assert!(
        panic.contains("service 4") && panic.contains("left"),
        "{panic}"
    );
}

/// The names and the values of fields.
#[derive(Clone, Default)]
struct Fields(Arc<Mutex<Vec<String>>>);

impl Fields {
    fn note(&self, field: &Field, value: &dyn fmt::Debug) {
        let noted = format!("{}={value:?}", field.name());
        self.0.lock().unwrap().push(noted);
    }
}

struct Noted<'a>(&'a Fields);

impl Visit for Noted<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.note(field, value);
    }
}

impl Subscriber for Fields {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("own_self")
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        attributes.record(&mut Noted(self));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut Noted(self));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn fields_have_the_names_as_written() {
    let fields = Fields::default();
    let _guard = tracing::subscriber::set_default(fields.clone());
    assert_eq!(service(1).fields(2).await, 2);
    let this = r#"self=Service { tenant: 1, name: "Ada" }"#;
    let expected = [
        this,
        "self.tenant=1",
        "message=found 1 by service 1",
        this,
        "self.tenant=1",
        "self.name=Ada",
        "id=2",
        "self.tenant=2",
        "self=service 1",
        "message=Ada",
    ];
    assert_eq!(*fields.0.lock().unwrap(), expected);
}
