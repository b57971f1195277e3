use piggyback::batch;

#[derive(Clone)]
struct User {
    email: String,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct New {
    email: String,
}

#[batch(size = 10, eager, one_by = |user| user.email.clone())]
async fn create(users: Vec<New>) -> Vec<User> {
    let user = |new: New| User { email: new.email };
    users.into_iter().map(user).collect()
}

fn main() {}
