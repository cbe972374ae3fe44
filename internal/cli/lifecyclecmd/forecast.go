package lifecyclecmd

import (
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/render/page"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/lifecycle"
)

// maxForecast bounds how far forecast looks ahead, in days.
const maxForecast = 3650

func forecastCommand(e *command.Env) *cobra.Command {
	var (
		o         options
		days      int
		rate      string
		svg, html string
		asJSON    bool
		list      bool
	)
	cmd := &cobra.Command{
		Use:   "forecast [REPOSITORY] [flags]",
		Short: "Show which images expire when, day by day",
		Long: `Simulate one run of a lifecycle policy per day. Show how many images each rule
expires or archives on which day, and the first day on which an image expires that
was pulled in the last week. The parts of an index expire in the run after it.
--list lists the images.

With --rate present, the forecast assumes that pushes continue at the recent
rate; with none (the default), that nothing is pushed. It assumes that no image
is pulled or deleted manually.`,
		Example: `  kontor lifecycle forecast team/app --days 60
  kontor lifecycle forecast team/app --rate present --html forecast.html
  kontor lifecycle forecast --images snapshot --svg forecast.svg`,
		Args: command.Between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			switch {
			case days < 1 || days > maxForecast:
				return command.Usagef("--days %d: want 1 to %d", days, maxForecast)
			case rate != string(lifecycle.RateNone) && rate != string(lifecycle.RatePresent):
				return command.Usagef("--rate %s: want %s or %s", rate, lifecycle.RatePresent, lifecycle.RateNone)
			}
			ahead := time.Duration(days) * 24 * time.Hour
			l, err := lookAt(cmd.Context(), e, o, argument(args), anyManifests(ahead))
			if err != nil {
				return err
			}
			defer command.Closing(&err, l.close)
			f := report.NewForecast(l.Lifecycle, days, lifecycle.Rate(rate))
			if err := command.WritePicture(svg, func(w io.Writer) error { return page.ForecastSVG(w, f) }); err != nil {
				return err
			}
			if err := command.WritePicture(html, func(w io.Writer) error { return page.ForecastHTML(w, f) }); err != nil {
				return err
			}
			if asJSON {
				err = render.JSON(e.Stdout, f)
			} else {
				opts := e.Options(e.Stdout)
				opts.List = list
				err = render.Forecast(e.Stdout, f, opts)
			}
			return errors.Join(err, l.leasedGo(ahead))
		},
	}
	o.flags(e, cmd)
	f := cmd.Flags()
	f.IntVar(&days, "days", 30, "simulate `N` days")
	f.StringVar(&rate, "rate", string(lifecycle.RateNone), "assume that images are pushed at the `RATE`: present or none")
	f.StringVar(&svg, "svg", "", "also write a chart, as SVG, to `FILE`")
	f.StringVar(&html, "html", "", "also write an HTML page with the chart and tables to `FILE`")
	listFlag(cmd, &list)
	command.JSONFlag(cmd, &asJSON)
	command.CompleteWords(cmd, "rate", string(lifecycle.RatePresent), string(lifecycle.RateNone))
	for _, flag := range []string{"svg", "html"} {
		command.Must(cmd.MarkFlagFilename(flag, flag))
	}
	return cmd
}
