// The way in: some ready-made people, or anybody.
import { useState, type FormEvent } from "react";
import { Avatar } from "./Avatar";
import { useDevClerk } from "./dev-clerk";
import { people, personOf, stranger } from "./people";

export function SignIn() {
  const { signInAs } = useDevClerk();
  return (
    <div className="sign-in">
      <h2>Who are you?</h2>
      <p className="hint">Open a second window and be somebody else there.</p>
      <ul className="choices">
        {people.map((person) => (
          <li key={person.subject}>
            <button type="button" className="choice" onClick={() => signInAs(person)}>
              <Avatar name={person.name} />
              {person.name}
            </button>
          </li>
        ))}
        <li>
          <button
            type="button"
            className="choice stranger"
            title="Has a token that was made for another application: see what the server says to it"
            onClick={() => signInAs(stranger)}
          >
            <Avatar name={stranger.name} />
            {stranger.name}, uninvited
          </button>
        </li>
      </ul>
      <Anyone />
    </div>
  );
}

function Anyone() {
  const { signInAs } = useDevClerk();
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    signInAs(personOf(name, email));
  };
  return (
    <form className="anyone" onSubmit={submit}>
      <input
        name="name"
        aria-label="Name"
        placeholder="Any name"
        autoComplete="off"
        required
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      <input
        name="email"
        type="email"
        aria-label="Email"
        placeholder="Email, if you like"
        autoComplete="off"
        value={email}
        onChange={(event) => setEmail(event.target.value)}
      />
      <button type="submit" className="button primary">
        Sign in
      </button>
    </form>
  );
}
