/**
 * Starts a separate console for each test: a real server, database file and receiver. There are no fixed ports and no
 * shared accounts. A test fails on any console error, page error or hydration warning.
 */
import { test as base, expect, type BrowserContext, type Locator, type Page } from '@playwright/test';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const bin = process.env.HOOKWRIGHT_BIN ?? join(import.meta.dirname, '../../target/debug/hookwright');
export const password = 'correct horse battery';

/** A request as the inbox received it. */
export type Received = { method: string; path: string; headers: [string, string][]; body: string };

export type Console = {
  /** `http://127.0.0.1:PORT` */
  url: string;
  /** The inbox's address. */
  inbox: string;
  /** The requests that the inbox has recorded so far, which may be shortly after its response. */
  received: () => Received[];
  /** An API key with both scopes. */
  key: string;
  /** Posts to the ingest API: plain JSON, or another content type. */
  post: (body: unknown, type?: string) => Promise<Response>;
  /** Replaces the objects of a type through the inventory API. */
  inventory: (type: string, objects: unknown) => Promise<Response>;
};

type Started = { child: ChildProcess; address: string; ended: Promise<unknown> };

/** Starts a program and waits for the line with its address. */
async function start(args: string[], says: RegExp): Promise<Started> {
  const child = spawn(bin, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  let text = '';
  const address = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      text += chunk;
      const found = says.exec(text);
      if (found) resolve(found[1]);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('exit', () => reject(new Error(`${args[0]} ended: ${text}`)));
  });
  return { child, address, ended };
}

function command(args: string[], input = ''): string {
  const done = spawnSync(bin, args, { input, encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${args.join(' ')}: ${done.stderr}`);
  return done.stdout.trim();
}

/** Returns the path of every page, as the program lists them. */
export const routes = () => command(['routes']).split('\n');

/** Runs a console with these options of `serve`, and an inbox, for the duration of `use`. */
export async function serving(context: BrowserContext, options: string[], use: (hook: Console) => Promise<void>) {
  const dir = mkdtempSync(join(tmpdir(), 'hookwright-'));
  const data = ['--data-dir', join(dir, 'data')];
  const record = join(dir, 'inbox.jsonl');
  const server = await start(
    ['serve', ...data, '--egress-allow', '127.0.0.0/8', '--time-zone', 'UTC', ...options],
    /Hookwright is at (\S+)\s/,
  );
  const inbox = await start(['inbox', '--listen', '127.0.0.1:0', '--record', record], /inbox on (\S+)\s/);
  command(['user', 'add', 'maria', '--role', 'admin', '--password-stdin', ...data], password);
  command(['user', 'add', 'olga', '--role', 'operator', '--password-stdin', ...data], password);
  command(['user', 'add', 'victor', '--role', 'viewer', '--password-stdin', ...data], password);
  const key = command(['key', 'add', 'dc-1', '--scope', 'ingest,inventory', ...data]);
  const send = (method: string, path: string, body: unknown, type = 'application/json') =>
    fetch(`${server.address}/api/v1/${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': type },
      body: JSON.stringify(body),
    });
  const post = (body: unknown, type?: string) => send('POST', 'events', body, type);
  const inventory = (type: string, objects: unknown) => send('PUT', `inventory/${type}`, objects);
  // The inbox creates the file after printing its address, and may be writing: only whole lines count.
  const received = () => {
    const lines = existsSync(record) ? readFileSync(record, 'utf8').split('\n').slice(0, -1) : [];
    return lines.map((line) => JSON.parse(line) as Received);
  };
  await use({ url: server.address, inbox: inbox.address, received, key, post, inventory });
  // A page with an open stream would report the end of the server as an error.
  await Promise.all(context.pages().map((page) => page.goto('about:blank')));
  inbox.child.kill();
  server.child.kill('SIGTERM');
  await Promise.all([inbox.ended, server.ended]);
  rmSync(dir, { recursive: true, force: true });
}

export const test = base.extend<{ hook: Console; faults: string[] }>({
  hook: ({ context }, use) => serving(context, ['--listen', 'http://127.0.0.1:0'], use),
  faults: [
    async ({ page }, use) => {
      const faults: string[] = [];
      page.on('console', (message) => {
        if (!['error', 'warning'].includes(message.type())) return;
        // Chromium reports the 422 of a refused form, and the 404 of an unknown page, as failed loads.
        const isRefusal = /the server responded with a status of (401|403|409|422|429)/.test(message.text());
        const isNowhere = message.location().url.endsWith('/nowhere');
        // Without JavaScript the preloaded module is not used.
        const isUnused = isPlain() && message.text().includes('was preloaded');
        if (!isRefusal && !isNowhere && !isUnused) faults.push(message.text());
      });
      page.on('pageerror', (error) => faults.push(String(error)));
      // A form with unsaved input asks before it is left. Tests leave it on purpose.
      page.on('dialog', (dialog) => dialog.accept());
      await use(faults);
      expect(faults).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

/** Returns true if JavaScript is off in this project. */
export const isPlain = () => test.info().project.use.javaScriptEnabled === false;

/** Opens a page, and waits for hydration. The pages for signing in run no WASM. */
export async function open(page: Page, hook: Console, path: string) {
  await page.goto(hook.url + path);
  if (!/^\/(sign-in|setup)/.test(path)) await waitForHydration(page);
}

/** Waits until the browser half runs, if JavaScript is on. */
export async function waitForHydration(page: Page) {
  if (isPlain()) return;
  await page.locator('html[data-hydrated]').waitFor({ state: 'attached' });
}

/** Signs in and ends at the dashboard. */
export async function signIn(page: Page, hook: Console, name = 'maria') {
  await open(page, hook, '/sign-in');
  await field(page, 'Name').fill(name);
  await field(page, 'Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await seeTitle(page, 'Tasks Dashboard');
  await waitForHydration(page);
}

/** Returns the control with exactly this label, required or not. */
export function field(page: Page | Locator, label: string): Locator {
  return page.getByLabel(new RegExp(`^${label.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\\*?$`));
}

/** Waits for the page with this title. */
export async function seeTitle(page: Page, title: string) {
  await expect(page.getByRole('heading', { level: 1, name: title, exact: true })).toBeVisible();
}

const submitButton = (page: Page) => page.getByRole('button', { name: 'Submit' });

/** Submits the form of the page. */
export async function submit(page: Page) {
  await submitButton(page).click();
}

/** Saves the form, and ends at its row's dashboard. Both may have the same title, but only the form has the button. */
export async function save(page: Page, title: string) {
  await submit(page);
  await expect(submitButton(page)).toHaveCount(0);
  await seeTitle(page, title);
}

/** Follows the dashboard's link to the form. Both may have the same title, but only the form has the button. */
export async function edit(page: Page) {
  await page.getByRole('link', { name: 'Edit', exact: true }).click();
  await expect(submitButton(page)).toBeVisible();
}

/** Shows the headers as text, instead of the grid, and returns the text area. */
export async function headersAsText(page: Page): Promise<Locator> {
  if (!isPlain()) await page.getByRole('button', { name: 'Raw' }).click();
  return field(page, 'Headers as text');
}

/** Creates a webhook through its form, and ends at its dashboard. */
export async function makeWebhook(page: Page, hook: Console, name: string, url = hook.inbox, retries = '3') {
  await open(page, hook, '/webhooks/new');
  await field(page, 'Name').fill(name);
  await field(page, 'URL').fill(url);
  await field(page, 'Retries').fill(retries);
  await save(page, `Webhook: ${name}`);
}

/** Creates a task through its form, and ends at its dashboard. */
export async function makeTask(page: Page, hook: Console, name: string, webhook: string, message = '${NAME}') {
  await open(page, hook, '/tasks/new');
  await field(page, 'Name').fill(name);
  await field(page, 'Object').selectOption(webhook);
  await field(page, 'Message').fill(message);
  await save(page, `Task: ${name}`);
}

/** Chooses type and event: by two selects, or by one select with groups. */
export async function chooseEvent(page: Page, type: string, event: string) {
  if (isPlain()) {
    await field(page, 'Event').selectOption(`${type}: ${event}`);
  } else {
    await field(page, 'Type').selectOption(type);
    await field(page, 'Event').selectOption(event);
  }
}

/** Chooses a virtual machine by its name: in the list, or typed. */
export async function chooseObject(page: Page, name: string) {
  if (isPlain()) await field(page, 'Object').fill(name);
  else await field(page, 'Virtual Machine').selectOption(name);
}

/** Expects a virtual machine to be chosen. */
export async function expectObject(page: Page, name: string, id: string) {
  if (isPlain()) await expect(field(page, 'Object')).toHaveValue(id);
  else await expect(field(page, 'Virtual Machine').locator('option:checked')).toHaveText(name);
}

/** Creates an event through its form, and ends at its page. */
export async function makeEvent(page: Page, hook: Console, event: string, task: string, object?: string) {
  await open(page, hook, '/events/new');
  await chooseEvent(page, 'Virtual Machines', event);
  if (object) await chooseObject(page, object);
  await field(page, 'Task').selectOption(task);
  await submit(page);
  await seeTitle(page, `Event: ${event}`);
}

/** Returns the message that the field refers to. */
export async function message(page: Page, label: string): Promise<Locator> {
  const control = field(page, label);
  await expect(control).toHaveAttribute('aria-invalid', 'true');
  await expect(control).toHaveAttribute('aria-describedby', /-(error|note)$/);
  const id = await control.getAttribute('aria-describedby');
  return page.locator(`#${id}`);
}
