//! Workers written by hand, as one finds them: each caller sends its item with a oneshot channel for
//! the result, a worker collects, each batch runs in a task of its own.

use super::{Batcher, Body, Setup};
use std::{mem, sync::Arc};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

type Pending = (u64, oneshot::Sender<u64>);

fn send_off(body: Body, batch: Vec<Pending>) {
    tokio::spawn(async move {
        let (items, callers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        for (result, caller) in body.run(items).await.into_iter().zip(callers) {
            // Fails if the caller has left.
            let _ = caller.send(result);
        }
    });
}

pub(crate) struct Channel(mpsc::UnboundedSender<Pending>);

impl Batcher for Channel {
    const DETACHED: bool = true;

    fn new(setup: Setup) -> Result<Self, &'static str> {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(collect(receiver, setup));
        Ok(Self(sender))
    }

    async fn call(&self, item: u64) -> u64 {
        let (sender, receiver) = oneshot::channel();
        self.0.send((item, sender)).unwrap();
        receiver.await.unwrap()
    }
}

async fn collect(mut receiver: mpsc::UnboundedReceiver<Pending>, setup: Setup) {
    let mut batch = Vec::with_capacity(setup.size);
    while receiver.recv_many(&mut batch, setup.size).await > 0 {
        if batch.len() < setup.size && !setup.eager {
            let mut delay = std::pin::pin!(sleep(setup.delay()));
            while batch.len() < setup.size {
                let missing = setup.size - batch.len();
                tokio::select! {
                    biased;
                    came = receiver.recv_many(&mut batch, missing) => if came == 0 { break },
                    () = &mut delay => break,
                }
            }
        }
        let full = mem::replace(&mut batch, Vec::with_capacity(setup.size));
        send_off(setup.body, full);
    }
}

pub(crate) struct Carpool(Arc<carpool::queue::Queue<u64, u64>>);

impl Batcher for Carpool {
    const DETACHED: bool = true;

    fn new(setup: Setup) -> Result<Self, &'static str> {
        let queue = Arc::new(carpool::queue::Queue::default());
        tokio::spawn(slice(queue.clone(), setup));
        Ok(Self(queue))
    }

    async fn call(&self, item: u64) -> u64 {
        let (sender, receiver) = oneshot::channel();
        self.0.push(item, sender);
        receiver.await.unwrap()
    }
}

async fn slice(queue: Arc<carpool::queue::Queue<u64, u64>>, setup: Setup) {
    loop {
        if let Some(batch) = queue.take_if(setup.size) {
            send_off(setup.body, batch);
            continue;
        }
        queue.reached(1).await;
        if !setup.eager {
            let _ = timeout(setup.delay(), queue.reached(setup.size)).await;
        }
        let batch = queue.take(setup.size);
        if !batch.is_empty() {
            send_off(setup.body, batch);
        }
    }
}
