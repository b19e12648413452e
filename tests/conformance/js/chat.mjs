// The page of the chat example, as people use it.

export const composer = (page) => page.getByLabel("Message", { exact: true });
export const messages = (page) => page.getByTestId("messages");
export const users = (page) => page.getByTestId("users");
/** A message that the server has taken. */
export const settled = (page, body) => messages(page).locator('[data-pending="false"]', { hasText: body });

export const choose = (page, name) => page.getByRole("button", { name, exact: true }).click();

/** Signs in as one of the people on the first page. */
export async function signIn(page, name) {
  await choose(page, name);
  await composer(page).waitFor();
}

/** Sends a message, and waits for nothing. */
export async function write(page, body) {
  await composer(page).fill(body);
  await page.keyboard.press("Enter");
}

/** Sends a message that the server takes. */
export async function say(page, body) {
  await write(page, body);
  await settled(page, body).waitFor();
}
