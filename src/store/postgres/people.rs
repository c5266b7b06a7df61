//! People: a row each, and one for each entry of their history.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::again::Trouble;
use super::text::{self, key, limit, number, put_back, shown, taken_out};
use crate::model::{Entry, Identifier, Join, Person, PersonId, Position};
use crate::store::record::{Header, StoredEntry, decode, encode};

/// These people, with all of their history; those who are not there are left out.
pub async fn load(connection: &mut PgConnection, ids: &[PersonId]) -> Result<HashMap<PersonId, Person>, Trouble> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = ids.iter().copied().map(text::person).collect();
    let headers: Vec<(Uuid, Vec<u8>)> = sqlx::query_as("select id, header from people where id = any($1)")
        .bind(&ids)
        .fetch_all(&mut *connection)
        .await?;
    whole(connection, headers).await.map(|people| people.into_iter().map(|person| (person.id, person)).collect())
}

/// A page of everybody, in the order of their ids.
pub async fn page(connection: &mut PgConnection, after: Option<PersonId>, max: usize) -> Result<Vec<Person>, Trouble> {
    let headers: Vec<(Uuid, Vec<u8>)> = match after {
        Some(after) => {
            let sql = "select id, header from people where id > $1 order by id limit $2";
            sqlx::query_as(sql).bind(text::person(after)).bind(limit(max)).fetch_all(&mut *connection).await?
        }
        None => {
            let sql = "select id, header from people order by id limit $1";
            sqlx::query_as(sql).bind(limit(max)).fetch_all(&mut *connection).await?
        }
    };
    whole(connection, headers).await
}

/// Their histories, put to their headers.
async fn whole(connection: &mut PgConnection, headers: Vec<(Uuid, Vec<u8>)>) -> Result<Vec<Person>, Trouble> {
    let ids: Vec<Uuid> = headers.iter().map(|(id, _)| *id).collect();
    let rows: Vec<(Uuid, Option<String>, Vec<u8>)> =
        sqlx::query_as("select person, properties, record from history where person = any($1)")
            .bind(&ids)
            .fetch_all(connection)
            .await?;
    let mut entries: HashMap<Uuid, Vec<Entry>> = HashMap::new();
    for (person, properties, record) in rows {
        let mut entry: StoredEntry = decode(&record)?;
        put_back(&mut entry.properties, properties);
        entries.entry(person).or_default().push(entry.into_entry());
    }
    let mut people = Vec::with_capacity(headers.len());
    for (id, header) in headers {
        let header: Header = decode(&header)?;
        people.push(header.into_person(PersonId(id.into_bytes()), entries.remove(&id).unwrap_or_default()));
    }
    Ok(people)
}

/// Those with a timer at or before an instant, the earliest first.
pub async fn due(connection: &mut PgConnection, until: i64, max: usize) -> Result<Vec<PersonId>, Trouble> {
    let rows: Vec<(Uuid,)> =
        sqlx::query_as("select id from people where wake is not null and wake <= $1 order by wake, id limit $2")
            .bind(until)
            .bind(limit(max))
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|(id,)| PersonId(id.into_bytes())).collect())
}

/// How a step writes people.
#[derive(Default)]
pub struct Writes<'a> {
    people: Vec<&'a Person>,
    /// Those of whom nothing is left of what was there before.
    anew: Vec<Uuid>,
    entries: Vec<(PersonId, &'a Entry)>,
}

impl<'a> Writes<'a> {
    /// All of somebody.
    pub fn whole(&mut self, person: &'a Person, is_there: bool) {
        self.people.push(person);
        if is_there {
            self.anew.push(text::person(person.id));
        }
        self.entries.extend(person.history.entries().iter().map(|entry| (person.id, entry)));
    }

    /// Somebody with these new entries.
    pub fn appended(&mut self, person: &'a Person, new: &[Position]) {
        self.people.push(person);
        // They are near the end, but for those that came late.
        let mut left: HashSet<Position> = new.iter().copied().collect();
        for entry in person.history.entries().iter().rev() {
            if left.is_empty() {
                break;
            }
            if left.remove(&entry.position) {
                self.entries.push((person.id, entry));
            }
        }
    }

    /// Writes it.
    pub async fn write(self, connection: &mut PgConnection) -> Result<(), Trouble> {
        if self.people.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "insert into people (id, created, first_seen, wake, header)
             select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[])
             on conflict (id) do update set created = excluded.created, first_seen = excluded.first_seen,
             wake = excluded.wake, header = excluded.header",
        )
        .bind(self.people.iter().map(|p| text::person(p.id)).collect::<Vec<_>>())
        .bind(self.people.iter().map(|p| number(p.created.0)).collect::<Vec<_>>())
        .bind(self.people.iter().map(|p| p.first_seen.as_millis()).collect::<Vec<_>>())
        .bind(self.people.iter().map(|p| p.wake().map(|at| at.as_millis())).collect::<Vec<_>>())
        .bind(self.people.iter().map(|p| encode(&Header::of(p, Vec::new(), 0))).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
        if !self.anew.is_empty() {
            let sql = "delete from history where person = any($1)";
            sqlx::query(sql).bind(&self.anew).execute(&mut *connection).await?;
        }
        if self.entries.is_empty() {
            return Ok(());
        }
        let mut columns: (Vec<Option<String>>, Vec<Vec<u8>>) = Default::default();
        for (_, entry) in &self.entries {
            let mut stored = StoredEntry::of(entry);
            columns.0.push(taken_out(&mut stored.properties));
            columns.1.push(encode(&stored));
        }
        sqlx::query(
            "insert into history (person, position, at, name, properties, record)
             select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bytea[])
             on conflict (person, position) do update set at = excluded.at, name = excluded.name,
             properties = excluded.properties, record = excluded.record",
        )
        .bind(self.entries.iter().map(|(id, _)| text::person(*id)).collect::<Vec<_>>())
        .bind(self.entries.iter().map(|(_, e)| number(e.position.0)).collect::<Vec<_>>())
        .bind(self.entries.iter().map(|(_, e)| e.at.as_millis()).collect::<Vec<_>>())
        .bind(self.entries.iter().map(|(_, e)| shown(&e.name).into_owned()).collect::<Vec<_>>())
        .bind(columns.0)
        .bind(columns.1)
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Which of these there are.
pub async fn there(connection: &mut PgConnection, ids: &[PersonId]) -> Result<HashSet<PersonId>, Trouble> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<Uuid> = ids.iter().copied().map(text::person).collect();
    let rows: Vec<(Uuid,)> =
        sqlx::query_as("select id from people where id = any($1)").bind(ids).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(id,)| PersonId(id.into_bytes())).collect())
}

/// Removes all that is kept of somebody but the log of decisions and joins.
pub async fn remove(connection: &mut PgConnection, id: PersonId) -> Result<(), Trouble> {
    let id = text::person(id);
    sqlx::query("delete from people where id = $1").bind(id).execute(&mut *connection).await?;
    sqlx::query("delete from history where person = $1").bind(id).execute(connection).await?;
    Ok(())
}

/// Somebody became somebody else, under whom the log goes on.
pub async fn merge(
    connection: &mut PgConnection,
    from: PersonId,
    survivor: PersonId,
    last: PersonId,
) -> Result<(), Trouble> {
    let (from, last) = (text::person(from), text::person(last));
    sqlx::query(
        "insert into merged (person, survivor) values ($1, $2)
         on conflict (person) do update set survivor = excluded.survivor",
    )
    .bind(from)
    .bind(text::person(survivor))
    .execute(&mut *connection)
    .await?;
    // What both logs have is in one of them afterwards.
    for sql in [
        "delete from decisions o using decisions n where o.person = $2 and n.person = $1
         and o.at = n.at and o.occasion = n.occasion and o.n = n.n",
        "update decisions set person = $2 where person = $1",
        "delete from joins o using joins n where o.person = $2 and n.person = $1
         and o.position = n.position and o.n = n.n",
        "update joins set person = $2 where person = $1",
    ] {
        sqlx::query(sql).bind(from).bind(last).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Who somebody is now, after merges.
pub async fn now(connection: &mut PgConnection, id: PersonId) -> Result<PersonId, Trouble> {
    let mut id = text::person(id);
    // Chains of merges are short; a damaged one must not hold us.
    for _ in 0..64 {
        let next: Option<(Uuid,)> = sqlx::query_as("select survivor from merged where person = $1")
            .bind(id)
            .fetch_optional(&mut *connection)
            .await?;
        let Some((next,)) = next else { break };
        id = next;
    }
    Ok(PersonId(id.into_bytes()))
}

/// Forgets the log of somebody's joins: of those that were refused, the other's copy too, which has names of theirs.
pub async fn forget_joins(connection: &mut PgConnection, id: PersonId) -> Result<(), Trouble> {
    let rows: Vec<(i64, i32, Vec<u8>)> = sqlx::query_as("select position, n, record from joins where person = $1")
        .bind(text::person(id))
        .fetch_all(&mut *connection)
        .await?;
    for (position, n, record) in rows {
        let join: Join = decode(&record)?;
        for side in [join.survivor, join.other] {
            let side = now(connection, side).await?;
            sqlx::query("delete from joins where person = $1 and position = $2 and n = $3")
                .bind(text::person(side))
                .bind(position)
                .bind(n)
                .execute(&mut *connection)
                .await?;
        }
    }
    sqlx::query("delete from joins where person = $1").bind(text::person(id)).execute(connection).await?;
    Ok(())
}

/// Who these names belong to.
pub async fn owners(
    connection: &mut PgConnection,
    names: &[&Identifier],
) -> Result<HashMap<Identifier, PersonId>, Trouble> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let by_key: HashMap<Uuid, &Identifier> = names.iter().map(|name| (key(&name.to_text()), *name)).collect();
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as("select key, person from identifiers where key = any($1)")
        .bind(by_key.keys().copied().collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let owner = |(key, person): (Uuid, Uuid)| Some(((*by_key.get(&key)?).clone(), PersonId(person.into_bytes())));
    Ok(rows.into_iter().filter_map(owner).collect())
}

/// New owners of names, or none.
pub async fn link(connection: &mut PgConnection, links: &[(Identifier, Option<PersonId>)]) -> Result<(), Trouble> {
    // Of one name the last counts.
    let last: HashMap<&Identifier, Option<PersonId>> = links.iter().map(|(name, owner)| (name, *owner)).collect();
    let gone: Vec<Uuid> = last.iter().filter(|(_, o)| o.is_none()).map(|(name, _)| key(&name.to_text())).collect();
    if !gone.is_empty() {
        sqlx::query("delete from identifiers where key = any($1)").bind(gone).execute(&mut *connection).await?;
    }
    let owned: Vec<(String, PersonId)> = last.iter().filter_map(|(name, o)| Some((name.to_text(), (*o)?))).collect();
    if !owned.is_empty() {
        sqlx::query(
            "insert into identifiers (key, name, person) select * from unnest($1::uuid[], $2::text[], $3::uuid[])
             on conflict (key) do update set person = excluded.person",
        )
        .bind(owned.iter().map(|(name, _)| key(name)).collect::<Vec<_>>())
        .bind(owned.iter().map(|(name, _)| shown(name).into_owned()).collect::<Vec<_>>())
        .bind(owned.iter().map(|(_, person)| text::person(*person)).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// A row of the log of joins: whose log, which of several, when it was written, what.
pub type JoinRow<'a> = (PersonId, usize, i64, &'a Join);

/// The log of joins made and refused.
pub async fn log_joins(connection: &mut PgConnection, written: i64, joins: &[Join]) -> Result<(), Trouble> {
    let mut rows: Vec<JoinRow<'_>> = Vec::new();
    for (n, join) in joins.iter().enumerate() {
        rows.push((join.survivor, n, written, join));
        if join.refused.is_some() && join.other != join.survivor {
            rows.push((join.other, n, written, join));
        }
    }
    put_joins(connection, &rows).await
}

/// Rows of that log.
pub async fn put_joins(connection: &mut PgConnection, rows: &[JoinRow<'_>]) -> Result<(), Trouble> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into joins (person, position, n, written, survivor, refused, record)
         select * from unnest($1::uuid[], $2::bigint[], $3::int[], $4::bigint[], $5::uuid[], $6::boolean[], $7::bytea[])
         on conflict (person, position, n) do update set written = excluded.written, survivor = excluded.survivor,
         refused = excluded.refused, record = excluded.record",
    )
    .bind(rows.iter().map(|(whose, ..)| text::person(*whose)).collect::<Vec<_>>())
    .bind(rows.iter().map(|(.., join)| number(join.position.0)).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, n, ..)| i32::try_from(*n).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, written, _)| *written).collect::<Vec<_>>())
    .bind(rows.iter().map(|(.., join)| text::person(join.survivor)).collect::<Vec<_>>())
    .bind(rows.iter().map(|(.., join)| join.refused.is_some()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(.., join)| encode(join)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
