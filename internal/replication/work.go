package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	// workers is how many images a process copies at a time, without those that go to
	// registries elsewhere: for each of these there are workersElsewhere, so that one that
	// is slow holds up neither another one nor what is copied within the server.
	workers          = 4
	workersElsewhere = 2
	// lookEvery is how often a process looks for what others queued, or put off.
	lookEvery = 5 * time.Second
	// trimEvery is how often a process removes what is not needed any longer.
	trimEvery = 24 * time.Hour
	// leaseTime is how long others leave an image alone whose process does not renew its
	// lease, renewEvery how often that is done.
	leaseTime  = time.Minute
	renewEvery = leaseTime / 6
	// firstWait is the first pause after a failure; it doubles up to longestWait.
	firstWait   = 2 * time.Second
	longestWait = 15 * time.Minute
	// maxAttempts is how often an image is tried: for about two days.
	maxAttempts = 200
	// subjectWait is how long what refers to an image waits first for it to come, and
	// longestSubjectWait at most.
	subjectWait        = 200 * time.Millisecond
	longestSubjectWait = 30 * time.Second
	// restTime is how long a destination that did not answer is left alone, unless it
	// said how long.
	restTime = 15 * time.Second
)

// Failure codes besides those of errors. ECR's are not known.
const (
	// codeNotServed: the destination is neither on this server nor in the operator's list.
	codeNotServed = "DestinationNotServed"
	// codeNotConfigured: no rule names the destination now.
	codeNotConfigured = "DestinationNotConfigured"
)

// Run replicates until ctx is done, and waits for what runs. It returns nil.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	trimmed := s.cfg.Passed()
	if s.cfg.OneProcess { // what this process did when it was killed waits for nothing
		err := s.system().Change(ctx, opWork, func(ctx context.Context, tx *gate.Tx) error { return tx.Registries().FreeReplications(ctx) })
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "images not replicated yet", "error", err)
		}
	}
	var running sync.WaitGroup
	defer running.Wait()
	for {
		more, err := s.advance(ctx)
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "backfills not advanced yet", "error", err)
		}
		if more {
			s.cfg.Queue.wake()
		}
		s.employ(ctx, &running)
		if s.cfg.Passed()-trimmed > trimEvery {
			if _, err := s.trim(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Log.WarnContext(ctx, "old replications not removed yet", "error", err)
			}
			trimmed = s.cfg.Passed()
		}
		s.observe(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.cfg.Queue.some:
		}
	}
}

// employ starts a worker, unless there are enough; each that finds something starts the
// next one. Run does not wait for them: what takes long holds up nothing else.
func (s *Service) employ(ctx context.Context, running *sync.WaitGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.working >= s.most() || ctx.Err() != nil {
		return
	}
	s.working++
	running.Go(func() {
		done, err := s.worker(ctx, func() { s.employ(ctx, running) })
		s.mu.Lock()
		s.working--
		s.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "images not replicated yet", "error", err)
		}
		if done > 0 && err == nil {
			s.cfg.Queue.wake() // a backfill may be complete, and something may have come
		}
	})
}

// most is how many workers there are at most.
func (s *Service) most() int { return workers + workersElsewhere*len(s.cfg.Elsewhere) }

// worker does what is due until nothing is, and returns how much that was. found is called
// each time that it has taken something.
func (s *Service) worker(ctx context.Context, found func()) (done int, err error) {
	for ctx.Err() == nil {
		ok, err := s.one(ctx, found)
		if ok {
			done++
		}
		if !ok || err != nil {
			return done, err
		}
	}
	return done, nil
}

// Advance does everything that is due, and waits for it: it goes on with backfills, and
// replicates what is queued.
func (s *Service) Advance(ctx context.Context) error {
	for ctx.Err() == nil {
		more, failed := s.advance(ctx)
		done, err := s.Work(ctx)
		if err = errors.Join(failed, err); err != nil || done == 0 && !more {
			return err
		}
	}
	return ctx.Err()
}

// Work does everything that is due, and returns how much that was. An error is of the
// database; what went wrong with images is stored with them.
func (s *Service) Work(ctx context.Context) (done int, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range s.most() {
		wg.Go(func() {
			n, failed := s.worker(ctx, func() {})
			mu.Lock()
			defer mu.Unlock()
			done, err = done+n, errors.Join(err, failed)
		})
	}
	wg.Wait()
	return done, err
}

var opWork = gate.Op("Replicate")

// system is for what the server has to know itself.
func (s *Service) system() *gate.Caller { return s.cfg.Gate.System(actor) }

// take takes one image that is due, for a destination that neither rests nor is busy.
func (s *Service) take(ctx context.Context) (task meta.Replication, ok bool, err error) {
	s.taking.Lock() // two at a time would take more of one destination than it may have
	defer s.taking.Unlock()
	resting := s.left()
	var waiting map[ecr.RegistryID]time.Duration
	err = s.system().Change(ctx, opWork, func(ctx context.Context, tx *gate.Tx) (err error) {
		if waiting, err = s.waitingForRate(ctx, tx.Registries(), true, false); err != nil {
			return err
		}
		leave := slices.AppendSeq(slices.Clone(resting), maps.Keys(waiting))
		task, ok, err = tx.Registries().TakeReplication(ctx, leaseTime, leave)
		if err == nil && ok {
			err = s.spendImage(ctx, tx, task.To)
		}
		return err
	})
	if err == nil && !ok {
		for _, wait := range waiting {
			s.wakeIn(wait)
		}
	}
	if err != nil || !ok {
		return task, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[task.To]++
	return task, true, nil
}

// wakeIn has Run look again after d, unless it does before.
func (s *Service) wakeIn(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waking || d > lookEvery {
		return
	}
	s.waking = true
	time.AfterFunc(d, func() {
		s.mu.Lock()
		s.waking = false
		s.mu.Unlock()
		s.cfg.Queue.wake()
	})
}

// one takes one image that is due and does it. found is called in between.
func (s *Service) one(ctx context.Context, found func()) (ok bool, err error) {
	task, ok, err := s.take(ctx)
	if err != nil || !ok {
		return false, err
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy[task.To]--
	}()
	found()
	work, stop := s.keep(ctx, task)
	d, err := s.protected(work, task)
	lost := errors.Is(context.Cause(work), errLost)
	stop()
	if lost || ctx.Err() != nil {
		return !lost, nil // another process has it, or it is for the next start
	}
	return true, s.settle(ctx, task, d, err)
}

// protected is do, with an error in place of a panic.
func (s *Service) protected(ctx context.Context, task meta.Replication) (d done, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return s.do(ctx, task)
}

// errLost: another process does it now, or it was queued again.
var errLost = errors.New("another process has taken the replication over")

// keep renews the lease of a task until stop is called. The context ends when it is lost.
func (s *Service) keep(ctx context.Context, task meta.Replication) (work context.Context, stop func()) {
	work, cancel := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(renewEvery)
		defer tick.Stop()
		for {
			select {
			case <-work.Done():
				return
			case <-tick.C:
			}
			err := s.system().Change(work, opWork, func(ctx context.Context, tx *gate.Tx) error {
				return tx.Registries().RenewReplication(ctx, task, leaseTime)
			})
			if errors.Is(err, meta.ErrConflict) {
				cancel(errLost)
				return
			}
		}
	}()
	return work, func() { cancel(nil); <-stopped }
}

// Errors of do that are none of the image's.
var (
	// errGone: there is nothing to replicate now.
	errGone = errors.New("the image is gone")
	// errSubjectFirst: the image that it refers to is on its way.
	errSubjectFirst = errors.New("the image that it refers to comes first")
)

// refusedTags is the error of an image that is at its destination, without its tag.
type refusedTags struct{ error }

func (r refusedTags) Unwrap() error { return r.error }

// do replicates one image.
func (s *Service) do(ctx context.Context, task meta.Replication) (d done, err error) {
	var c stored
	var row meta.Repository
	err = s.system().Read(ctx, opWork, func(ctx context.Context, v *gate.View) error {
		settings, err := v.Registries().RegistrySettings(ctx, task.Source)
		if err != nil {
			return err
		}
		if c, err = read(settings); err != nil {
			return err
		}
		row, err = v.Repository(ctx, task.Source, task.Name)
		return err
	})
	switch {
	case errors.Is(err, meta.ErrNotFound) || err == nil && row.ID != task.Repository:
		if task.Kind == meta.ReplicateImage {
			return d, errGone
		}
	case err != nil:
		return d, err
	}
	if !slices.Contains(c.destinations(task.Name), task.To) {
		return d, &ecr.Error{Code: codeNotConfigured, Message: "No rule of the registry replicates the repository to " + task.To.String() + " now"}
	}
	elsewhere, listed := s.cfg.Elsewhere[task.To]
	switch {
	case s.cfg.Serves(task.To) && task.Kind == meta.ReplicateDelete:
		return d, s.deleteHere(ctx, task)
	case s.cfg.Serves(task.To):
		return s.copyHere(ctx, task, c)
	case listed && task.Kind == meta.ReplicateDelete:
		return d, ecr.Errorf(ecr.CodeUnknownOperation, "Deletions are replicated to registries of this server only")
	case listed:
		return s.copyElsewhere(ctx, task, c, elsewhere)
	}
	return d, &ecr.Error{Code: codeNotServed, Message: task.To.String() + " is not a registry of this server, and its operator lists no address for it"}
}

// permanent are the codes of failures that trying again does not mend.
var permanent = []ecr.Code{
	codeNotServed, codeNotConfigured, ecr.CodeAccessDenied, ecr.CodeImageTagAlreadyExists, ecr.CodeInvalidParameter, ecr.CodeRepositoryNotFound,
	ecr.CodeImageDigestDoesNotMatch, ecr.CodeUnknownOperation, ecr.CodeLimitExceeded,
}

// settle stores what came of a task.
func (s *Service) settle(ctx context.Context, task meta.Replication, d done, err error) error {
	how, wait := Complete, time.Duration(0)
	var lacking failedImages
	code := ecr.CodeOf(err)
	// Nothing was asked of the destination.
	unused := errors.Is(err, errGone) || errors.Is(err, errSubjectFirst) || code == codeNotConfigured
	task.SubCodes = nil
	if errors.As(err, &lacking) {
		task.SubCodes = lacking.codes
	}
	switch {
	case err == nil:
		task.Status, task.Code, task.Message = meta.ReplicationComplete, "", ""
	case errors.Is(err, errGone):
		how = ""
	case errors.Is(err, errSubjectFirst):
		how, wait = PutOff, doubled(subjectWait, task.Attempts, longestSubjectWait)
		code, task.Code, task.Message = "", "", err.Error()
	case code == codeNotConfigured && task.Backfill == "":
		how = ""
	case final(err), task.Attempts >= maxAttempts:
		how = Failed
		task.Status, task.Code, task.Message = meta.ReplicationFailed, string(codeOf(err)), messageOf(err)
	default:
		how, wait = PutOff, doubled(firstWait, task.Attempts, longestWait)
		task.Code, task.Message = string(codeOf(err)), messageOf(err)
		wait = max(wait, s.rest(task.To, err))
	}
	if how == Failed || how == PutOff && code != "" {
		s.cfg.Log.WarnContext(ctx, "image not replicated", "repository", task.Name, "registry", task.Source, "image", task.Image, "destination", task.To,
			"attempt", task.Attempts, "result", how, "error", err)
	}
	err = s.system().Change(ctx, opWork, func(ctx context.Context, tx *gate.Tx) error {
		for _, other := range d.others {
			if err := tx.Registries().SettleReplication(ctx, other); err != nil {
				return err
			}
		}
		if unused {
			if err := s.giveBack(ctx, tx, task.To); err != nil {
				return err
			}
		}
		switch how {
		case "":
			return tx.Registries().DropReplication(ctx, task)
		case PutOff:
			return tx.Registries().PutOffReplication(ctx, task, wait)
		}
		if task.Kind == meta.ReplicateDelete && how == Complete {
			return tx.Registries().DropReplication(ctx, task)
		}
		if err := tx.Registries().EndReplication(ctx, task); err != nil || s.cfg.Replicated == nil || task.Kind != meta.ReplicateImage {
			return err
		}
		return s.cfg.Replicated(ctx, tx, Outcome{
			From: task.Source.Repo(task.Name), To: task.To.Repo(task.Name), Image: task.Image, Backfill: task.Backfill, Code: task.Code,
		})
	})
	if errors.Is(err, meta.ErrConflict) {
		return nil // queued again meanwhile
	}
	if how == PutOff && wait < lookEvery {
		time.AfterFunc(wait, s.cfg.Queue.wake)
	}
	if err == nil && how != "" && s.cfg.Observer != nil {
		s.cfg.Observer.Replicated(task.To, how, d.sent)
	}
	return err
}

// doubled is the pause after so many attempts.
func doubled(first time.Duration, attempts int, most time.Duration) time.Duration {
	return min(first<<min(max(attempts-1, 0), 20), most)
}

// codeOf is the code of an error; of a login that failed, that of the reason.
func codeOf(err error) ecr.Code {
	var r *remote.Error
	if errors.As(err, &r) {
		if login := r.Login(); login != nil {
			return login.Code
		}
	}
	return ecr.CodeOf(err)
}

// messageOf is what operators are told of an error, in one line.
func messageOf(err error) string {
	const most = 1000
	text := err.Error()
	var e *ecr.Error
	if errors.As(err, &e) && e.Message != "" {
		text = e.Message
	}
	var r *remote.Error
	if errors.As(err, &r) {
		text = r.Error()
	}
	return clip(text, most)
}

// rest lets a destination be that did not answer, wanted fewer requests or refused the
// login, and returns for how long.
func (s *Service) rest(to ecr.RegistryID, err error) time.Duration {
	var e *remote.Error
	code := ecr.CodeOf(err)
	if !errors.As(err, &e) || !slices.Contains(restful, code) {
		return 0
	}
	wait := restTime
	if e.Wait() > 0 {
		wait = min(e.Wait(), longestWait)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resting[to] = rest{s.cfg.Passed() + wait, messageOf(err)}
	return wait
}

// rests is why a destination rests, "" for one that does not. Each process has its own.
func (s *Service) rests(to ecr.RegistryID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.resting[to]; ok && r.until > s.cfg.Passed() {
		return r.why
	}
	return ""
}

// restful are the codes of errors after which a destination rests: it is of no use to try
// other images.
var restful = []ecr.Code{ecr.CodeThrottling, ecr.CodeUnavailable, ecr.CodeUnrecognizedClient, ecr.CodeExpiredToken}

// left are the destinations that rest, and those elsewhere that all their workers are
// busy with.
func (s *Service) left() []ecr.RegistryID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []ecr.RegistryID
	for to, r := range s.resting {
		if r.until <= s.cfg.Passed() {
			delete(s.resting, to)
			continue
		}
		all = append(all, to)
	}
	for to, n := range s.busy {
		if _, elsewhere := s.cfg.Elsewhere[to]; elsewhere && n >= workersElsewhere {
			all = append(all, to)
		}
	}
	return all
}

// observe tells what waits.
func (s *Service) observe(ctx context.Context) {
	if s.cfg.Observer == nil {
		return
	}
	var queues []meta.ReplicationQueue
	err := s.system().Read(ctx, opWork, func(ctx context.Context, v *gate.View) (err error) {
		queues, err = s.queues(ctx, v.Registries(), ecr.RegistryID{})
		return err
	})
	if err == nil {
		s.cfg.Observer.ReplicationWaiting(queues)
	}
}

// queues are what waits in a registry, by destination, and whether that is because of its
// rate.
func (s *Service) queues(ctx context.Context, r meta.ReplicationReader, in ecr.RegistryID) ([]meta.ReplicationQueue, error) {
	all, err := r.ReplicationQueues(ctx, in)
	if err != nil {
		return nil, err
	}
	waiting, err := s.waitingForRate(ctx, r, true, true)
	for i, q := range all {
		_, waits := waiting[q.To]
		all[i].WaitsForRate = waits && q.Due > 0
		all[i].Rests = s.rests(q.To)
	}
	return all, err
}
