//! Publishing to one task, by HTTP to a hub or over Redis: the same promises, the same answers.

use bytes::Bytes;

use super::{Client, ClientError, ItemResult, RedisPublisher};
use crate::model::TaskId;

/// Who delivers a task's activities.
#[derive(Debug)]
pub enum Publisher {
    /// Requests to a hub.
    Hub(Client, TaskId),
    /// Messages over Redis, to whichever hub takes the task.
    Redis(Box<RedisPublisher>),
}

impl Publisher {
    /// Publishes activities, each a JSON object of DESIGN section 4 with an `eventId`, in order. Answers with a result for each once all are
    /// stored or refused. After an error some may be stored; the same activities in another call are stored once, and those that are
    /// known to be are not sent again.
    pub async fn publish(&mut self, activities: &[Bytes]) -> Result<Vec<ItemResult>, ClientError> {
        match self {
            Self::Hub(client, task) => client.publish(task, activities).await,
            Self::Redis(publisher) => publisher.publish(activities).await,
        }
    }

    /// What is known of this activity, of the last call, although the call had no answer for all of them.
    pub fn known(&self, activity: &Bytes) -> Option<&ItemResult> {
        match self {
            Self::Hub(..) => None,
            Self::Redis(publisher) => publisher.known(activity),
        }
    }
}
