import {
  expect, field, makeEvent, makeTask, makeWebhook, open, save, signIn, submit, test, type Console,
} from './fixtures.js';
import { startMailServer, type Mail } from './mail_server.js';
import type { Page } from '@playwright/test';

/** Creates a task that sends an e-mail, and ends at its dashboard. */
async function makeMailTask(page: Page, hook: Console, name: string, body: string) {
  await open(page, hook, '/tasks/new');
  await field(page, 'Name').fill(name);
  await field(page, 'Object Type').selectOption('Email');
  await field(page, 'Object').selectOption('SMTP');
  await field(page, 'From Name').fill('Console of ${NAME}');
  await field(page, 'To List').fill('"Last, First" <first@example.com>\nsecond@example.com');
  await field(page, 'CC List').fill('third@example.com');
  await field(page, 'BCC List').fill('hidden@example.com');
  await field(page, 'Subject').fill('${NAME} is on');
  await field(page, 'Body').fill(body);
  await save(page, `Task: ${name}`);
}

/** Returns a header of a message, unfolded and decoded. */
function header(mail: Mail, name: string): string | undefined {
  const head = mail.text.slice(0, mail.text.indexOf('\r\n\r\n')).replace(/\r\n[ \t]+/g, ' ');
  const line = head.split('\r\n').find((one) => one.toLowerCase().startsWith(`${name.toLowerCase()}: `));
  const decoded = (_: string, word: string) => Buffer.from(word, 'base64').toString();
  return line?.slice(name.length + 2).replace(/=\?utf-8\?b\?([\w+/=]*)\?=\s*/gi, decoded);
}

/** Returns the text of a message, decoded, with LF as its line ends, and without the line end that every message has. */
function body(mail: Mail): string {
  const text = mail.text.slice(mail.text.indexOf('\r\n\r\n') + 4).replace(/\r\n$/, '');
  const encoding = header(mail, 'Content-Transfer-Encoding') ?? '7bit';
  if (encoding === 'base64') return Buffer.from(text, 'base64').toString().replace(/\r\n/g, '\n');
  if (encoding !== 'quoted-printable') return text.replace(/\r\n/g, '\n');
  const bytes = text.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString().replace(/\r\n/g, '\n');
}

test('one event sends a mail and a request, and a mail server that dies loses and repeats nothing', async ({ page, hook }) => {
  let mail = await startMailServer();
  const port = mail.port;
  await signIn(page, hook);
  await open(page, hook, '/smtp');
  await field(page, 'Server').fill('127.0.0.1');
  await field(page, 'Encryption').selectOption('None');
  await field(page, 'Port').fill(port);
  await field(page, 'From Address').fill('console@example.com');
  await submit(page);
  await expect(page.getByRole('status').filter({ hasText: 'Saved.' })).toBeVisible();
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell the chat', 'Chat', '{"vm": "${NAME}"}');
  const text = 'Hello,\n\n.${NAME} of ${OBJECT_ID} is on: ö €\n..\nBye';
  await makeMailTask(page, hook, 'Mail the admins', text);
  await expect(page.getByText('second@example.com')).toBeVisible();
  await makeEvent(page, hook, 'Power On', 'Tell the chat');
  await makeEvent(page, hook, 'Power On', 'Mail the admins');

  const report = async (name: string) => {
    const response = await hook.post({ type: 'vms', event: 'poweron', object: { id: `id-${name.length}`, name } });
    expect(await response.json()).toMatchObject({ occurrences: [{ tasks_started: 2 }] });
  };
  const hostile = 'web "01"\r\nBcc: evil@example.com';
  await report(hostile);
  await expect.poll(() => hook.received().length).toBe(1);
  expect(JSON.parse(hook.received()[0].body)).toEqual({ vm: hostile });
  await expect.poll(() => mail.mails.length).toBe(1);
  const [first] = mail.mails;
  expect(first.sender).toBe('console@example.com');
  expect(first.recipients).toEqual(['first@example.com', 'second@example.com', 'third@example.com', 'hidden@example.com']);
  expect(header(first, 'Subject')).toBe('web "01" Bcc: evil@example.com is on'.replace('" Bcc', '"  Bcc'));
  expect(header(first, 'Bcc')).toBeUndefined();
  expect(header(first, 'From')).toContain('<console@example.com>');
  expect(header(first, 'Cc')).toBe('third@example.com');
  expect(body(first)).toBe(text.replace('${NAME}', hostile.replace('\r\n', '\n')).replace('${OBJECT_ID}', `id-${hostile.length}`));

  // The server dies. The request goes out, the mail waits, and its delivery says why.
  await mail.close();
  await report('web-02');
  await expect.poll(() => hook.received().length).toBe(2);
  await expect(async () => {
    await open(page, hook, '/deliveries');
    const row = page.getByRole('row').filter({ hasText: 'SMTP' }).filter({ hasText: 'web-02' });
    await expect(row).toContainText('Cannot connect', { timeout: 500 });
  }).toPass();
  mail = await startMailServer(undefined, Number(port));
  await expect.poll(() => mail.mails.length, { timeout: 30_000 }).toBe(1);
  expect(header(mail.mails[0], 'Subject')).toBe('web-02 is on');
  expect(header(mail.mails[0], 'Message-ID')).not.toBe(header(first, 'Message-ID'));
  await expect(async () => {
    await open(page, hook, '/deliveries');
    const row = page.getByRole('row').filter({ hasText: 'SMTP' }).filter({ hasText: 'web-02' });
    await expect(row).toContainText('Sent', { timeout: 500 });
  }).toPass();
  const row = page.getByRole('row').filter({ hasText: 'SMTP' }).filter({ hasText: 'web-02' });
  await row.getByRole('link', { name: 'Sent' }).click();
  await expect(page.getByText('second@example.com').first()).toBeVisible();
  expect(mail.mails).toHaveLength(1);
  await mail.close();
});
