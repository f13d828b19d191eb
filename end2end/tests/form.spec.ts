/** The behaviour that the browser half adds to forms: tests, previews, matches, and a webhook made for a task. */
import { expect, field, headersAsText, isPlain, makeEvent, makeTask, makeWebhook, open, save, seeTitle, signIn, submit, test } from './fixtures.js';

test('Send test sends the unsaved values and shows request and response', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  const send = page.getByRole('button', { name: 'Send test' });
  await send.click();
  await expect(page.getByText('Correct the marked fields first')).toBeVisible();
  await expect(field(page, 'Name')).toHaveAttribute('aria-invalid', 'true');
  await field(page, 'Name').fill('Chat');
  await field(page, 'URL').fill(`${hook.inbox}/status/418`);
  await field(page, 'Authorization Type').selectOption('API Key');
  await field(page, 'API Key').fill('canary-55bb');
  await field(page, 'Prefix').fill('Key');
  await expect(page.getByText('X-API-Key: Key ••••••••')).toBeVisible();
  await field(page, 'Header 1 name').fill('X-Env');
  await field(page, 'Header 1 value').fill('test');
  await field(page, 'Test message').fill('exactly this');
  await send.click();
  const request = page.getByRole('region', { name: 'Test request' });
  await expect(request).toContainText(`POST ${hook.inbox}/status/418`);
  await expect(request).toContainText('X-Env: test');
  await expect(request).toContainText('exactly this');
  await expect(request).not.toContainText('canary-55bb');
  await expect(page.getByRole('region', { name: 'Test response' })).toContainText('418');
  await expect.poll(() => hook.received().length).toBe(1);
  const [received] = hook.received();
  expect(received.headers).toContainEqual(['X-Api-Key', 'Key canary-55bb']);
  expect(received.headers).toContainEqual(['X-Env', 'test']);
  expect(received.body).toBe('exactly this');
  // Every received header line is shown, in order.
  const shown = (await request.innerText()).split('\n').flatMap((line) => /^([\w-]+): /.exec(line)?.[1] ?? []);
  const arrived = received.headers.map(([name]) => name.toLowerCase());
  expect(shown.map((name) => name.toLowerCase())).toEqual(arrived);
  await open(page, hook, '/webhooks');
  await expect(page.getByText('A webhook says where')).toBeVisible();
});

test('headers that do not parse stay text until they are corrected', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  const text = await headersAsText(page);
  const wrong = 'X-A: 1\nno colon here\nHost: x';
  await text.fill(wrong);
  const raw = page.getByRole('button', { name: 'Raw' });
  await expect(raw).toHaveAttribute('aria-pressed', 'true');
  await raw.click();
  await expect(page.getByText(/Line 2: there is no colon/).first()).toBeVisible();
  await expect(page.getByText(/Line 3: Host cannot be set here/).first()).toBeVisible();
  await expect(text).toHaveValue(wrong);
  await expect(page.locator('[id="headers-error"]'), 'one element with this id').toHaveCount(1);
  await text.fill('X-A: 1\nX-B:2\nx-a: 3');
  await expect(page.getByText(/Line 2/)).toHaveCount(0);
  await raw.click();
  await expect(field(page, 'Header 3 value')).toHaveValue('3');
  await expect(page.getByText('repeats apart')).toBeVisible();
  await field(page, 'Check all headers').check();
  await field(page, 'Check header 1').uncheck();
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await expect(page.getByText('2 headers deleted, 1 left')).toBeVisible();
  await expect(field(page, 'Header 1 name')).toHaveValue('X-A');
  await expect(field(page, 'Header 2 name')).toHaveCount(0);
});

test('a line typed or pasted into a header name is split into name and value', async ({ page, hook }) => {
  test.skip(isPlain(), 'without WASM there is only the text area');
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  const name = field(page, 'New header name');
  await name.click();
  await page.keyboard.type('X-A: a:b');
  await expect(field(page, 'Header 2 name')).toHaveValue('X-A');
  await expect(field(page, 'Header 2 value')).toHaveValue(' a:b');
  await field(page, 'New header name').fill('X-B: 2');
  await expect(field(page, 'Header 3 name')).toHaveValue('X-B');
  await expect(field(page, 'Header 3 value')).toHaveValue('2');
  await field(page, 'New header name').evaluate((input) => {
    const data = new DataTransfer();
    data.setData('text', 'X-C: 3\nX-D: 4\n');
    input.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
  });
  await expect(field(page, 'Header 5 name')).toHaveValue('X-D');
  const text = await headersAsText(page);
  await expect(text).toHaveValue('Content-Type: application/json\nX-A:  a:b\nX-B: 2\nX-C: 3\nX-D: 4');
});

test('dragging a header row moves it', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await field(page, 'New header name').fill('X-A: 1');
  await field(page, 'New header name').fill('X-B: 2');
  const cell = (number: number) => page.locator('.c-headers__grid tbody tr').nth(number - 1).locator('td').first();
  await cell(3).dragTo(cell(1));
  await expect(page.getByText('X-B moved to position 1 of 3')).toBeVisible();
  await expect(await headersAsText(page)).toHaveValue('X-B: 2\nContent-Type: application/json\nX-A: 1');
});

test('the preview follows the message and points at warnings', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await open(page, hook, '/tasks/new');
  const preview = page.getByRole('region', { name: 'Preview' });
  await expect(preview).toHaveText('{"text": "Webhook"}');
  await field(page, 'Object').selectOption('Chat');
  await field(page, 'Message').fill('{"vm": "${NAME}"}');
  await expect(preview).toHaveText('{"vm": "web-01"}');
  await field(page, 'Message').fill('{\n  "vm": "${HOST}"}');
  await expect(page.getByText('${HOST} is not a variable and stays as text.')).toBeVisible();
  await page.getByRole('button', { name: 'line 2, column 10' }).click();
  await expect(field(page, 'Message')).toBeFocused();
  await page.keyboard.type('here ');
  await expect(field(page, 'Message')).toHaveValue('{\n  "vm": "here ${HOST}"}');
  await field(page, 'Message').fill('{"vm": ${NAME}');
  await expect(page.getByText('This is not valid JSON')).toBeVisible();

  await hook.post({ type: 'vms', event: 'poweroff', object: { name: 'db-07' } });
  await open(page, hook, '/tasks/new');
  await field(page, 'Message').fill('${NAME} ${EVENT}');
  await page.getByLabel('Preview with').selectOption({ index: 1 });
  await expect(preview).toHaveText('"db-07" "poweroff"');
});

test('a webhook created from the task form comes back chosen, and typed values are restored', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/tasks/new');
  await field(page, 'Name').fill('Tell');
  await field(page, 'Description').fill('kept');
  await field(page, 'Message').fill('kept as well');
  // The arrow keys of the select do not leave the form.
  await field(page, 'Object').press('ArrowDown');
  await seeTitle(page, 'New Task');
  await page.getByRole('link', { name: 'New Webhook…' }).click();
  await seeTitle(page, 'New Webhook');
  await field(page, 'Name').fill('Chat');
  await field(page, 'URL').fill(hook.inbox);
  await submit(page);
  await seeTitle(page, 'New Task');
  await expect(field(page, 'Object').locator('option:checked')).toHaveText('Chat');
  await expect(field(page, 'Name')).toHaveValue('Tell');
  await expect(field(page, 'Description')).toHaveValue('kept');
  await expect(field(page, 'Message')).toHaveValue('kept as well');
  await save(page, 'Task: Tell');
  await expect(page.getByRole('region', { name: 'Message' })).toHaveText('kept as well');
});

test('an event shows its matches, and changing the type clears dependent fields', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell', 'Chat');
  await hook.post([
    { type: 'vms', event: 'poweron', object: { id: 'vm-1', name: 'web-01' } },
    { type: 'vms', event: 'poweron', object: { id: 'vm-1' } },
    { type: 'vms', event: 'poweron', object: { id: 'vm-2', name: 'web-02' } },
  ]);
  await open(page, hook, '/events/new');
  const card = page.getByRole('region', { name: 'What it matches' });
  await expect(card).toContainText('Fill in the form');
  await field(page, 'Type').selectOption('Virtual Machines');
  await field(page, 'Event').selectOption('Power On');
  await expect(card).toContainText('Matches 2 objects now; 3 occurrences in the last 7 days');
  await field(page, 'Virtual Machine').selectOption('web-01');
  await expect(card).toContainText('Matches 1 object now; 2 occurrences');
  await expect(card.getByRole('link')).toHaveText(['web-01', 'web-01']);
  await field(page, 'Task').selectOption('Tell');
  await field(page, 'Type').selectOption('Logs');
  await expect(page.getByText('The event and the fields that depended on the type were cleared.')).toBeVisible();
  await expect(field(page, 'Event')).toHaveValue('');
  await expect(field(page, 'Use Tag')).toHaveCount(0);
  await expect(field(page, 'Level')).toBeVisible();
  await expect(field(page, 'Source')).toBeVisible();
  await expect(field(page, 'Task').locator('option:checked')).toHaveText('Tell');

  await makeEvent(page, hook, 'Power On', 'Tell', 'web-02');
  await expect(field(page, 'Type').locator('option:checked')).toHaveText('Virtual Machines');
  await expect(field(page, 'Virtual Machine').locator('option:checked')).toHaveText('web-02');
  await open(page, hook, '/tasks/1');
  await page.getByRole('link', { name: 'New Task Event' }).click();
  await expect(page.getByText('Starts the task Tell.')).toBeVisible();
  await expect(field(page, 'Task')).toHaveCount(0);
});
