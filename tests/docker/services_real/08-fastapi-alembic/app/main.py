from database import Note, Session
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import select

app = FastAPI(title="Notes")


class NewNote(BaseModel):
    text: str
    author: str = "nobody"


@app.get("/healthz")
def healthz():
    return {"status": "ok"}


@app.get("/notes")
def notes():
    with Session() as session:
        return [{"id": n.id, "text": n.text, "author": n.author} for n in session.scalars(select(Note).order_by(Note.id))]


@app.post("/notes", status_code=201)
def add(new: NewNote):
    with Session.begin() as session:
        note = Note(text=new.text, author=new.author)
        session.add(note)
        session.flush()
        return {"id": note.id}
